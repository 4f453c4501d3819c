package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
)

// What net/http's guide has, on that port, over TLS if BENCH_TLS is set.
func web(port int) {
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("Content-Type", "text/plain")
		io.WriteString(answer, "hello\n")
	})
	address := "127.0.0.1:" + strconv.Itoa(port)
	if os.Getenv("BENCH_TLS") != "" {
		silent := log.New(io.Discard, "", 0) // of clients that go after their handshake
		server := http.Server{Addr: address, ErrorLog: silent}
		server.ListenAndServeTLS(os.Getenv("BENCH_CERTIFICATE"), os.Getenv("BENCH_KEY"))
	} else {
		http.ListenAndServe(address, nil)
	}
	os.Exit(1)
}

// So many TLS handshakes, one after the other.
func handshakes(count int) {
	text, err := os.ReadFile(os.Getenv("BENCH_CERTIFICATE"))
	if err != nil {
		os.Exit(1)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	config := tls.Config{RootCAs: roots, ServerName: "localhost"}
	for i := 0; i < count; i++ {
		connection, err := tls.Dial("tcp", "127.0.0.1:"+os.Getenv("BENCH_PORT"), &config)
		if err != nil {
			os.Exit(1)
		}
		connection.Close()
	}
	fmt.Printf("connections %d\n", count)
}
