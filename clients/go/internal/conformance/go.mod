module example.com/objectstreaming/clients/go/internal/conformance

go 1.24

require (
	example.com/objectstreaming/clients/go v0.1.0
	example.com/objectstreaming/clients/go/msgpack v0.1.0
)

require (
	github.com/vmihailenco/msgpack/v5 v5.4.1 // indirect
	github.com/vmihailenco/tagparser/v2 v2.0.0 // indirect
)

replace (
	example.com/objectstreaming/clients/go => ../..
	example.com/objectstreaming/clients/go/msgpack => ../../msgpack
)
