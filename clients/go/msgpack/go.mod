module example.com/objectstreaming/clients/go/msgpack

go 1.24

require (
	example.com/objectstreaming/clients/go v0.1.0
	github.com/vmihailenco/msgpack/v5 v5.4.1
)

require github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect

replace example.com/objectstreaming/clients/go => ..
