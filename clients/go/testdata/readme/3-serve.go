package main

import (
	"context"
	"fmt"
	"iter"
	"log"
	"net"
	"net/http"

	objectstreaming "example.com/objectstreaming/clients/go"
)

type Status struct {
	Status string `json:"status"`
}

type Answer struct {
	Answer string `json:"answer"`
	Source string `json:"source"`
}

func answers(ctx context.Context) iter.Seq[Answer] {
	return func(yield func(Answer) bool) {
		_ = yield(Answer{"Frames have lengths.", "spec.md"}) && yield(Answer{"So a cut is found.", "spec.md"})
	}
}

func main() {
	coder := objectstreaming.JSON[Status, Answer]()
	EXAMPLE
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s/ask\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
