package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// A request is what a client sends to the model.
type request struct {
	Model    string    `json:"model"`
	Stream   bool      `json:"stream"`
	Messages []message `json:"messages"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// A chunk is an event of a completion: a token.
type chunk struct {
	ID      int64    `json:"id"`
	Choices []choice `json:"choices"`
}

type choice struct {
	Delta message `json:"delta"`
}

// end is the data of the event after the last token.
const end = "[DONE]"

// A model answers POST /v1/chat/completions with server-sent events, a token
// each, and takes a pause before each. Every call is paid for.
type model struct {
	pause time.Duration
	calls atomic.Int64
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || len(asked.Messages) == 0 {
		http.Error(w, "send messages as JSON", http.StatusBadRequest)
		return
	}
	id := m.calls.Add(1)
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	question := asked.Messages[len(asked.Messages)-1].Content
	for _, token := range strings.SplitAfter("You asked: "+question+" The short wavelengths scatter most.", " ") {
		select {
		case <-time.After(m.pause):
		case <-r.Context().Done():
			return // nobody reads it any more
		}
		data, err := json.Marshal(chunk{ID: id, Choices: []choice{{message{"assistant", token}}}})
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
		control.Flush()
	}
	fmt.Fprintf(w, "data: %s\n\n", end)
}
