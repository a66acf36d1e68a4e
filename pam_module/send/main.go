// Command send is otpgate-send: it sends one code. A forked core runs it, so
// that what speaks to the network is not loaded at every login.
//
// It reads a deliver.Request from its standard input, prints a deliver.Answer,
// and ends with 0 if the code was sent. It takes no arguments and nothing from
// its environment.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/transport"
)

// version is set when a release is built.
var version = "unknown"

const usage = `Usage: otpgate-send < REQUEST

The PAM module runs this to send a code. To see whether codes arrive, see
docs/sent-codes.md.
`

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "--version":
		fmt.Println("otpgate-send", version)
		return
	case len(os.Args) > 1:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	delivery, err := send(os.Stdin)
	answer := deliver.Answer{Delivery: delivery}
	if err != nil {
		answer.Error = err.Error()
	}
	if written := json.NewEncoder(os.Stdout).Encode(answer); written != nil || err != nil {
		os.Exit(1)
	}
}

func send(input io.Reader) (deliver.Delivery, error) {
	request, err := read(input)
	if err != nil {
		return deliver.Delivery{}, err
	}
	settings, err := config.Load(request.Config)
	if err != nil {
		return deliver.Delivery{}, fmt.Errorf("configuration: %w", err)
	}
	sender, err := transport.New(settings)
	if err != nil {
		return deliver.Delivery{}, fmt.Errorf("configuration: %w", err)
	}
	return sender.Send(context.Background(), request.Message)
}

// read takes one request and no more. Its error quotes nothing: a code may be
// in what was read.
func read(input io.Reader) (deliver.Request, error) {
	var request deliver.Request
	decoder := json.NewDecoder(io.LimitReader(input, deliver.MaxRequest))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&request) != nil {
		return request, errors.New("expected a request in JSON on standard input; this command is run by the PAM module")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return request, errors.New("expected one request on standard input")
	}
	return request, nil
}
