package objectstreaming

// The states of a stream (section 3.5). Encoder and decoder follow the same table. A row is a state, a column is the frame
// that comes next. "other" is a control frame of a later version.
//
//	           open       data       ping       other      end
//	start      streaming  streaming  streaming  streaming  ended
//	streaming  -          streaming  streaming  streaming  ended
//	ended      -          -          -          -          -
type (
	state int
	event int
)

const (
	start state = iota
	streaming
	ended
	wrong
)

const (
	open event = iota
	data
	ping
	other
	end
)

var transitions = [3][5]state{
	start:     {streaming, streaming, streaming, streaming, ended},
	streaming: {wrong, streaming, streaming, streaming, ended},
	ended:     {wrong, wrong, wrong, wrong, wrong},
}

var eventNames = [...]string{"open", "data", "ping", "other", "end"}
