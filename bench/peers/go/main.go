// Command gobench is the benchmarks of this directory's parent for Go.
//
//	gobench CASE [COUNT]
//
// One processor runs all goroutines, as one thread runs a loop; GOMAXPROCS in the environment says
// otherwise.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const many = 1000

func cpu() float64 {
	var usage syscall.Rusage

	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

func report(start float64, count int) {
	fmt.Printf("ns %.1f\n", (cpu()-start)/float64(count))
}

func spinners(tasks, steps int) {
	var all sync.WaitGroup

	rounds := steps / tasks
	start := cpu()
	for i := 0; i < tasks; i++ {
		all.Add(1)
		go func() {
			for i := 0; i < rounds; i++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	report(start, rounds*tasks)
}

func one(count int) {
	start := cpu()
	for i := 0; i < count; i++ {
		done := make(chan int)
		go func() { done <- 0 }()
		<-done
	}
	report(start, count)
}

func manyAlive(count int) {
	start := cpu()
	for i := 0; i < count; i += many {
		var all sync.WaitGroup

		all.Add(many)
		for i := 0; i < many; i++ {
			go func() {
				runtime.Gosched()
				all.Done()
			}()
		}
		all.Wait()
	}
	report(start, count)
}

func pingpong(count int) {
	there, back := make(chan int), make(chan int)

	go func() {
		for item := range there {
			back <- item
		}
	}()
	start := cpu()
	for i := 0; i < count; i++ {
		there <- i
		<-back
	}
	report(start, count)
}

func stream(count int) {
	queue := make(chan int, 100)

	go func() {
		for i := 0; i < count; i++ {
			queue <- i
		}
	}()
	start := cpu()
	for i := 0; i < count; i++ {
		<-queue
	}
	report(start, count)
}

// The delays are those of timers.c: up to 200 ms.
func delays(count int) []time.Duration {
	state, all := uint32(1), make([]time.Duration, count)

	for i := range all {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		all[i] = time.Duration(state%200000) * time.Microsecond
	}
	return all
}

func fill(count int) {
	var fired sync.WaitGroup

	fired.Add(count)
	all := delays(count)
	start := cpu()
	for _, delay := range all {
		// None may fire while the others are set.
		time.AfterFunc(delay+2*time.Second, fired.Done)
	}
	middle := cpu()
	fired.Wait()
	fmt.Printf("add %.1f\nfire %.1f\n", (middle-start)/float64(count), (cpu()-middle)/float64(count))
}

func cancel(count int) {
	timers, order := make([]*time.Timer, count), make([]int, count)
	state := uint32(1)

	for i, delay := range delays(count) {
		timers[i] = time.AfterFunc(delay+time.Hour, func() {})
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		j := int(state % uint32(i+1))
		order[i] = order[j]
		order[j] = i
	}
	start := cpu()
	for _, i := range order {
		timers[i].Stop()
	}
	fmt.Printf("cancel %.1f\n", (cpu()-start)/float64(count))
}

func near(count int) {
	for i := 0; i < many; i++ {
		time.AfterFunc(time.Hour, func() {})
	}
	start := cpu()
	for i := 0; i < count; i++ {
		time.AfterFunc(30*time.Second, func() {}).Stop()
	}
	fmt.Printf("near %.1f\n", (cpu()-start)/float64(count))
}

func resident() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	pages, _ := strconv.ParseFloat(strings.Fields(string(text))[1], 64)
	return pages * 4096
}

func sleepers(count int) {
	runtime.GC()
	memory, start := resident(), cpu()
	var started sync.WaitGroup

	started.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			started.Done()
			time.Sleep(time.Hour)
		}()
	}
	started.Wait()
	runtime.Gosched()
	end := cpu()
	fmt.Printf("bytes %.1f\nns %.1f\n", (resident()-memory)/float64(count), (end-start)/float64(count))
}

// Child processes, on the wall.
func children(count int) {
	var starting time.Duration

	begin := time.Now()
	for i := 0; i < count; i++ {
		command := exec.Command("/bin/true")
		before := time.Now()
		if command.Start() != nil {
			os.Exit(1)
		}
		starting += time.Since(before)
		command.Wait()
	}
	microseconds := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(count) }
	fmt.Printf("us %.1f\nstart_us %.1f\n", microseconds(time.Since(begin)), microseconds(starting))
}

func main() {
	count := 0
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	if len(os.Args) > 2 {
		figure, _ := strconv.ParseFloat(os.Args[2], 64)
		count = int(figure)
	}
	cases := map[string]func(int){
		"2":            func(n int) { spinners(2, n) },
		"10000":        func(n int) { spinners(10000, n) },
		"1000000":      func(n int) { spinners(1000000, n) },
		"one":          one,
		"many":         manyAlive,
		"pingpong":     pingpong,
		"stream":       stream,
		"fill":         fill,
		"cancel":       cancel,
		"near":         near,
		"sleepers":     sleepers,
		"small":        children,
		"large":        func(n int) { keep = touched(1 << 30); children(n) },
		"echo":         func(int) { echo() },
		"once":         func(int) { echo() },
		"reads":        func(n int) { reads(n, 1) },
		"reads32":      func(n int) { reads(n, 32) },
		"bulk":         func(n int) { bulk(n, false) },
		"sendfile":     func(n int) { bulk(n, true) },
		"datagrams":    func(int) { datagrams() },
		"web":          web,
		"handshakes":   handshakes,
		"resolve":      func(n int) { resolve(n, "127.0.0.1") },
		"resolve_name": func(n int) { resolve(n, "localhost") },
	}
	run := cases[os.Args[1]]
	if run == nil {
		os.Exit(2)
	}
	run(count)
}

var keep []byte

func touched(size int) []byte {
	memory := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		memory[i] = 1
	}
	return memory
}
