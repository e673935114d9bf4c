package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	objectstreaming "example.com/objectstreaming/clients/go"
)

func main() {
	ctx, url, question := context.Background(), os.Args[1], map[string]string{"question": "Why do frames have lengths?"}
	coder := objectstreaming.JSON[map[string]any, map[string]any]()
	EXAMPLE
	if err != nil {
		log.Fatal(err)
	}
	defer stream.Close()
	if _, err := stream.Next(); err != nil {
		log.Fatal(err)
	}
	place, _ := stream.Place()
	text, _ := json.Marshal(place)
	fmt.Println(string(text))
	for _, err := range stream.All() {
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(stream.Position())
}
