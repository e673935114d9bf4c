package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"

	objectstreaming "example.com/objectstreaming/clients/go"
)

func main() {
	ctx, header, coder := context.Background(), http.Header{}, objectstreaming.JSON[map[string]any, map[string]any]()
	var place objectstreaming.Place
	if err := json.Unmarshal([]byte(os.Args[1]), &place); err != nil {
		log.Fatal(err)
	}
	EXAMPLE
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	for _, err := range stream.All() {
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(stream.Position())
}
