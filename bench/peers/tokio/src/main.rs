//! The benchmarks of bench/ for tokio: `tokiobench CASE [COUNT]`, on its current_thread runtime.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{mpsc, Notify};
use tokio::task::{spawn, yield_now, JoinSet};

const MANY: usize = 1000;

fn cpu() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

fn report(start: f64, count: usize) {
    println!("ns {:.1}", (cpu() - start) / count as f64);
}

async fn spinners(tasks: usize, steps: usize) {
    let rounds = steps / tasks;
    let mut all = JoinSet::new();
    let start = cpu();
    for _ in 0..tasks {
        all.spawn(async move {
            for _ in 0..rounds {
                yield_now().await;
            }
        });
    }
    while all.join_next().await.is_some() {}
    report(start, rounds * tasks);
}

async fn one(count: usize) {
    let start = cpu();
    for _ in 0..count {
        spawn(async {}).await.unwrap();
    }
    report(start, count);
}

async fn many(count: usize) {
    let start = cpu();
    for _ in 0..count / MANY {
        let tasks: Vec<_> = (0..MANY).map(|_| spawn(yield_now())).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    report(start, count / MANY * MANY);
}

async fn pingpong(count: usize) {
    let (there, mut at_there) = mpsc::channel(1);
    let (back, mut at_back) = mpsc::channel(1);
    spawn(async move {
        while let Some(item) = at_there.recv().await {
            back.send(item).await.unwrap();
        }
    });
    let start = cpu();
    for i in 0..count {
        there.send(i).await.unwrap();
        at_back.recv().await.unwrap();
    }
    report(start, count);
}

async fn stream(count: usize) {
    let (put, mut get) = mpsc::channel(100);
    spawn(async move {
        for i in 0..count {
            put.send(i).await.unwrap();
        }
    });
    let start = cpu();
    for _ in 0..count {
        get.recv().await.unwrap();
    }
    report(start, count);
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

async fn sleepers(count: usize) {
    let (memory, start) = (resident(), cpu());
    let mut all = JoinSet::new();
    for _ in 0..count {
        all.spawn(tokio::time::sleep(Duration::from_secs(3600)));
    }
    yield_now().await;
    let end = cpu();
    println!("bytes {:.1}", (resident() - memory) / count as f64);
    println!("ns {:.1}", (end - start) / count as f64);
}

async fn children(count: usize) {
    let begin = Instant::now();
    let mut starting = Duration::ZERO;
    for _ in 0..count {
        let before = Instant::now();
        let mut child = tokio::process::Command::new("/bin/true").spawn().unwrap();
        starting += before.elapsed();
        child.wait().await.unwrap();
    }
    let us = |d: Duration| d.as_secs_f64() * 1e6 / count as f64;
    println!("us {:.1}\nstart_us {:.1}", us(begin.elapsed()), us(starting));
}

// ---- the network ----

async fn read(client: &mut TcpStream, data: &mut [u8], limited: bool) -> std::io::Result<usize> {
    if limited {
        return tokio::time::timeout(Duration::from_secs(30), client.read(data)).await?;
    }
    client.read(data).await
}

async fn serve(mut client: TcpStream, limited: bool) {
    let mut data = vec![0; 64 * 1024];
    while let Ok(n) = read(&mut client, &mut data, limited).await {
        if n == 0 || client.write_all(&data[..n]).await.is_err() {
            return;
        }
    }
}

/// Ends when its last client has gone.
async fn echo(limited: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("port {}", listener.local_addr().unwrap().port());
    let clients = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(Notify::new());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let client = accepted.unwrap().0;
                client.set_nodelay(true).unwrap();
                clients.fetch_add(1, Ordering::Relaxed);
                let (clients, over) = (clients.clone(), over.clone());
                spawn(async move {
                    serve(client, limited).await;
                    if clients.fetch_sub(1, Ordering::Relaxed) == 1 {
                        over.notify_one();
                    }
                });
            }
            _ = over.notified() => return,
        }
    }
}

/// An empty datagram ends it.
async fn datagrams() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    println!("port {}", socket.local_addr().unwrap().port());
    let mut data = vec![0; 64 * 1024];
    while let Ok((n, from)) = socket.recv_from(&mut data).await {
        if n == 0 {
            return;
        }
        let _ = socket.send_to(&data[..n], from).await;
    }
}

// ---- files ----

async fn reads(count: usize, at_a_time: usize) {
    use std::io::SeekFrom;
    use tokio::io::AsyncSeekExt;
    let path = std::env::var("BENCH_FILE").unwrap();
    let places = (std::fs::metadata(&path).unwrap().len() / 4096) as u32;
    let (begin, start) = (Instant::now(), cpu());
    let mut all = JoinSet::new();
    for worker in 0..at_a_time {
        let mut file = tokio::fs::File::open(&path).await.unwrap();
        file.set_max_buf_size(4096);
        all.spawn(async move {
            let (mut state, mut data) = (worker as u32 + 1, [0u8; 4096]);
            for _ in 0..count / at_a_time {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                let place = SeekFrom::Start((state % places) as u64 * 4096);
                file.seek(place).await.unwrap();
                file.read_exact(&mut data).await.unwrap();
            }
        });
    }
    while all.join_next().await.is_some() {}
    let done = (count / at_a_time * at_a_time) as f64;
    println!("us {:.3}", begin.elapsed().as_secs_f64() * 1e6 / done);
    println!("cpu_us {:.3}", (cpu() - start) / 1e3 / done);
}

/// To a sink in a process of its own, at BENCH_PORT.
async fn bulk(size: usize) {
    let port = std::env::var("BENCH_PORT").unwrap();
    let mut connection = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let data = vec![0u8; 64 * 1024];
    let start = cpu();
    for _ in 0..size / data.len() {
        connection.write_all(&data).await.unwrap();
    }
    drop(connection);
    let gib = size as f64 / (1u64 << 30) as f64;
    println!("cpu_s {:.4}", (cpu() - start) / 1e9 / gib);
}

async fn run(case: &str, count: usize) {
    match case {
        "2" => spinners(2, count).await,
        "10000" => spinners(10000, count).await,
        "1000000" => spinners(1000000, count).await,
        "one" => one(count).await,
        "many" => many(count).await,
        "pingpong" => pingpong(count).await,
        "stream" => stream(count).await,
        "sleepers" => sleepers(count).await,
        "small" => children(count).await,
        "large" => {
            let memory = vec![1u8; 1 << 30];
            std::hint::black_box(&memory);
            children(count).await;
            std::hint::black_box(&memory);
        }
        "echo" | "echo2" => echo(false).await,
        "echo_timeout" => echo(true).await,
        "datagrams" => datagrams().await,
        "reads" => reads(count, 1).await,
        "reads32" => reads(count, 32).await,
        "bulk" => bulk(count).await,
        _ => std::process::exit(2),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let count = words.get(2).map_or(0.0, |w| w.parse::<f64>().unwrap()) as usize;
    let mut builder = match words[1].as_str() {
        "echo2" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(run(&words[1], count));
    runtime.shutdown_background();
}
