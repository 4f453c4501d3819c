package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Ends when its last client has gone.
func echo() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Printf("port %d\n", listener.Addr().(*net.TCPAddr).Port)
	var clients sync.WaitGroup
	first := true
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		clients.Add(1)
		go func() {
			defer clients.Done()
			defer client.Close()
			data := make([]byte, 64*1024)
			for {
				n, err := client.Read(data)
				if err != nil {
					return
				}
				if _, err := client.Write(data[:n]); err != nil {
					return
				}
			}
		}()
		if first {
			first = false
			go func() {
				clients.Wait()
				listener.Close()
			}()
		}
	}
}

func datagrams() {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		os.Exit(1)
	}
	fmt.Printf("port %d\n", socket.LocalAddr().(*net.UDPAddr).Port)
	data := make([]byte, 64*1024)
	for {
		n, from, err := socket.ReadFromUDPAddrPort(data)
		if err != nil || n == 0 {
			return
		}
		socket.WriteToUDPAddrPort(data[:n], from)
	}
}

// 4 KiB at random places of a file of 64 MiB in the page cache, so many at a time.
func reads(count, atATime int) {
	file, err := os.Open(os.Getenv("BENCH_FILE"))
	if err != nil {
		os.Exit(1)
	}
	info, _ := file.Stat()
	places := uint32(info.Size() / 4096)
	var all sync.WaitGroup
	begin, start := time.Now(), cpu()
	for worker := 0; worker < atATime; worker++ {
		all.Add(1)
		go func(state uint32) {
			defer all.Done()
			data := make([]byte, 4096)
			for i := 0; i < count/atATime; i++ {
				state ^= state << 13
				state ^= state >> 17
				state ^= state << 5
				file.ReadAt(data, int64(state%places)*4096)
			}
		}(uint32(worker + 1))
	}
	all.Wait()
	done := float64(count / atATime * atATime)
	fmt.Printf("us %.3f\ncpu_us %.3f\n", float64(time.Since(begin).Nanoseconds())/1e3/done, (cpu()-start)/1e3/done)
}

// To a sink in a process of its own, at BENCH_PORT.
func bulk(size int, sendfile bool) {
	connection, err := net.Dial("tcp", "127.0.0.1:"+os.Getenv("BENCH_PORT"))
	if err != nil {
		os.Exit(1)
	}
	start := cpu()
	if sendfile {
		file, _ := os.Open(os.Getenv("BENCH_FILE"))
		info, _ := file.Stat()
		for sent := int64(0); sent < int64(size); sent += info.Size() {
			file.Seek(0, io.SeekStart)
			io.Copy(connection, file)
		}
	} else {
		data := make([]byte, 64*1024)
		for sent := 0; sent < size; sent += len(data) {
			connection.Write(data)
		}
	}
	connection.Close()
	fmt.Printf("cpu_s %.4f\n", (cpu()-start)/1e9/(float64(size)/(1<<30)))
}

func resolve(count int, host string) {
	begin, start := time.Now(), cpu()
	for i := 0; i < count; i++ {
		if _, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", host); err != nil {
			os.Exit(1)
		}
	}
	done := float64(count)
	fmt.Printf("us %.3f\ncpu_us %.3f\n", float64(time.Since(begin).Nanoseconds())/1e3/done, (cpu()-start)/1e3/done)
}
