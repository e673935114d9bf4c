package main

import (
	"context"
	"errors"
	"log"
	"os"

	objectstreaming "example.com/objectstreaming/clients/go"
)

func main() {
	log.SetFlags(0)
	coder := objectstreaming.JSON[map[string]any, map[string]any]()
	_, err := objectstreaming.Post(context.Background(), os.Args[1]+"/nothing", nil, coder)
	log.Print(objectstreaming.CodeOf(err))
	EXAMPLE
}
