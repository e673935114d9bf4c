module github.com/objectstreaming/objectstreaming-go

go 1.24
