module example.com/objectstreaming/clients/go

go 1.24
