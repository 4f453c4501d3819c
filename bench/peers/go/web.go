package main

import (
	"io"
	"net/http"
	"os"
	"strconv"
)

// What net/http's guide has, on that port.
func web(port int) {
	http.HandleFunc("/", func(answer http.ResponseWriter, request *http.Request) {
		answer.Header().Set("Content-Type", "text/plain")
		io.WriteString(answer, "hello\n")
	})
	if http.ListenAndServe("127.0.0.1:"+strconv.Itoa(port), nil) != nil {
		os.Exit(1)
	}
}
