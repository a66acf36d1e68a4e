package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/packet"
	"github.com/otpgate/otpgate/internal/sftpd/talk"
)

// brokerLine asks the broker about one connection, one thing at a time.
type brokerLine struct {
	mu     sync.Mutex
	conn   *packet.Conn
	buffer [talk.MaxLine]byte
}

// errLine says that the broker has hung up, which ends the connection.
var errLine = errors.New("the broker hung up")

// ask sends a question and returns the answer, which begins with want.
func (l *brokerLine) ask(question []byte, want uint8) (*packet.Reader, []int, error) {
	op, r, fds, err := l.askAny(question)
	if err == nil && op != want {
		packet.CloseAll(fds)
		err = errLine
	}
	return r, fds, err
}

func (l *brokerLine) askAny(question []byte) (op uint8, r *packet.Reader, fds []int, err error) {
	if len(question) > talk.MaxLine {
		return 0, nil, nil, packet.ErrTooLarge
	}
	if err := l.conn.Send(question); err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", errLine, err)
	}
	n, fds, err := l.conn.Receive(l.buffer[:])
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", errLine, err)
	}
	r = packet.NewReader(l.buffer[:n])
	return r.U8(), r, fds, nil
}

// note tells something that needs no answer.
func (l *brokerLine) note(message []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn.Send(message)
}

// outcome reads AnswerOutcome.
func readOutcome(r *packet.Reader) (outcome uint8, told []string, err error) {
	outcome, told = r.U8(), r.Texts()
	return outcome, told, r.Done()
}

// step asks for one step of the login.
func (l *brokerLine) step(question []byte) (outcome uint8, told []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, fds, err := l.ask(question, talk.AnswerOutcome)
	packet.CloseAll(fds)
	if err != nil {
		return 0, nil, err
	}
	return readOutcome(r)
}

// prompt is a question for the client.
type prompt struct {
	told  []string
	shown bool
	text  string
}

// stepOrAsk is step with questions for the client in between, which ask
// answers.
func (l *brokerLine) stepOrAsk(question []byte, ask func(prompt) (string, error)) (outcome uint8, told []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		op, r, fds, err := l.askAny(question)
		packet.CloseAll(fds)
		switch {
		case err != nil:
			return 0, nil, err
		case op == talk.AnswerOutcome:
			return readOutcome(r)
		case op != talk.AnswerPrompt:
			return 0, nil, errLine
		}
		p := prompt{told: r.Texts(), shown: r.Bool(), text: r.Text()}
		if err := r.Done(); err != nil {
			return 0, nil, err
		}
		text, err := ask(p)
		var w packet.Writer
		question = w.U8(talk.AskAnswer).Bool(err == nil).Text(text).Bytes
		if len(question) > talk.MaxLine {
			w.Bytes = nil
			question = w.U8(talk.AskAnswer).Bool(false).Text("").Bytes
		}
	}
}

// session asks for another session with the person's worker.
func (l *brokerLine) session() (*packet.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, fds, err := l.ask([]byte{talk.AskSession}, talk.AnswerSession)
	if err != nil {
		return nil, err
	}
	there := r.Bool()
	if r.Done() != nil || there != (len(fds) == 1) {
		packet.CloseAll(fds)
		return nil, errLine
	}
	if !there {
		return nil, errors.New("no worker")
	}
	return packet.New(fds[0])
}

// bytes asks how long to wait before so many are moved.
func (l *brokerLine) bytes(n int, upload bool) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var w packet.Writer
	r, fds, err := l.ask(w.U8(talk.AskBytes).U32(uint32(n)).Bool(upload).Bytes, talk.AnswerBytes)
	packet.CloseAll(fds)
	if err != nil {
		return 0, err
	}
	wait := time.Duration(r.U64())
	return wait, r.Done()
}

// hostKey has the broker prove a host key.
func (l *brokerLine) hostKey(public []byte) (*ssh.Signature, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var w packet.Writer
	return l.signature(w.U8(talk.AskHostKey).Blob(public).Bytes)
}

// signature must be called with the lock.
func (l *brokerLine) signature(question []byte) (*ssh.Signature, error) {
	r, fds, err := l.ask(question, talk.AnswerSignature)
	packet.CloseAll(fds)
	if err != nil {
		return nil, err
	}
	format, blob := r.Text(), r.Text()
	if err := r.Done(); err != nil || format == "" {
		return nil, fmt.Errorf("the broker did not sign: %w", errors.Join(err, errLine))
	}
	return &ssh.Signature{Format: format, Blob: []byte(blob)}, nil
}

// signer is a host key that the broker has. It says which signatures it makes,
// or the library would offer RSA's with SHA-1.
type signer struct {
	line   *brokerLine
	public ssh.PublicKey
}

var _ ssh.MultiAlgorithmSigner = signer{}

// Algorithms implements ssh.MultiAlgorithmSigner.
func (s signer) Algorithms() []string { return algorithms.HostKeySignatures(s.public.Type()) }

// PublicKey implements ssh.Signer.
func (s signer) PublicKey() ssh.PublicKey { return s.public }

// Sign implements ssh.Signer.
func (s signer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, s.public.Type())
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (s signer) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	s.line.mu.Lock()
	defer s.line.mu.Unlock()
	var w packet.Writer
	return s.line.signature(w.U8(talk.AskSign).Blob(s.public.Marshal()).Text(algorithm).Blob(data).Bytes)
}
