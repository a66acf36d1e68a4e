package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/otpgate/otpgate/internal/sftpd/algorithms"
	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// brokerConn asks the broker about one connection, one thing at a time.
type brokerConn struct {
	mu     sync.Mutex
	conn   *seqpacket.Conn
	buffer [messages.MaxSize]byte
}

// errBroker says that the broker has hung up, which ends the connection.
var errBroker = errors.New("the broker hung up")

// ask sends a question and returns the answer, which begins with want.
func (b *brokerConn) ask(question []byte, want uint8) (*fields.Reader, []int, error) {
	op, r, fds, err := b.askAny(question)
	if err == nil && op != want {
		seqpacket.CloseAll(fds)
		err = errBroker
	}
	return r, fds, err
}

func (b *brokerConn) askAny(question []byte) (op uint8, r *fields.Reader, fds []int, err error) {
	if len(question) > messages.MaxSize {
		return 0, nil, nil, seqpacket.ErrTooLarge
	}
	if err := b.conn.Send(question); err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", errBroker, err)
	}
	n, fds, err := b.conn.Receive(b.buffer[:])
	if err != nil {
		return 0, nil, nil, fmt.Errorf("%w: %w", errBroker, err)
	}
	r = fields.NewReader(b.buffer[:n])
	return r.U8(), r, fds, nil
}

// note tells something that needs no answer.
func (b *brokerConn) note(message []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conn.Send(message)
}

// step asks for one step of the login in which nothing is asked.
func (b *brokerConn) step(question []byte) (outcome uint8, told []string, err error) {
	return b.stepOrAsk(question, nil)
}

// prompt is a question for the client.
type prompt struct {
	told  []string
	shown bool
	text  string
}

// stepOrAsk is step with questions for the client in between, which ask
// answers.
func (b *brokerConn) stepOrAsk(question []byte, ask func(prompt) (string, error)) (outcome uint8, told []string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		op, r, fds, err := b.askAny(question)
		seqpacket.CloseAll(fds)
		switch {
		case err != nil:
			return 0, nil, err
		case op == messages.AnswerOutcome:
			outcome, told = r.U8(), r.Texts()
			return outcome, told, r.Done()
		case op != messages.AnswerPrompt || ask == nil:
			return 0, nil, errBroker
		}
		p := prompt{told: r.Texts(), shown: r.Bool(), text: r.Text()}
		if err := r.Done(); err != nil {
			return 0, nil, err
		}
		text, err := ask(p)
		question = fields.Message(messages.AskAnswer).Bool(err == nil).Text(text).Bytes
		if len(question) > messages.MaxSize {
			question = fields.Message(messages.AskAnswer).Bool(false).Text("").Bytes
		}
	}
}

// session asks for another session with the person's worker.
func (b *brokerConn) session() (*seqpacket.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, fds, err := b.ask([]byte{messages.AskSession}, messages.AnswerSession)
	if err != nil {
		return nil, err
	}
	there := r.Bool()
	if r.Done() != nil || there != (len(fds) == 1) {
		seqpacket.CloseAll(fds)
		return nil, errBroker
	}
	if !there {
		return nil, errors.New("no worker")
	}
	return seqpacket.New(fds[0])
}

// bytes asks how long to wait before so many are moved.
func (b *brokerConn) bytes(n int, upload bool) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r, fds, err := b.ask(fields.Message(messages.AskBytes).U32(uint32(n)).Bool(upload).Bytes, messages.AnswerBytes)
	seqpacket.CloseAll(fds)
	if err != nil {
		return 0, err
	}
	wait := time.Duration(r.U64())
	return wait, r.Done()
}

// hostKey has the broker prove a host key.
func (b *brokerConn) hostKey(public []byte) (*ssh.Signature, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.signature(fields.Message(messages.AskHostKey).Blob(public).Bytes)
}

// signature must be called with the lock.
func (b *brokerConn) signature(question []byte) (*ssh.Signature, error) {
	r, fds, err := b.ask(question, messages.AnswerSignature)
	seqpacket.CloseAll(fds)
	if err != nil {
		return nil, err
	}
	format, blob := r.Text(), r.Text()
	if err := r.Done(); err != nil || format == "" {
		return nil, fmt.Errorf("the broker did not sign: %w", errors.Join(err, errBroker))
	}
	return &ssh.Signature{Format: format, Blob: []byte(blob)}, nil
}

// signer is a host key that the broker has. It says which signatures it makes,
// or the library would offer RSA's with SHA-1.
type signer struct {
	broker *brokerConn
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
	s.broker.mu.Lock()
	defer s.broker.mu.Unlock()
	return s.broker.signature(fields.Message(messages.AskSign).Blob(s.public.Marshal()).Text(algorithm).Blob(data).Bytes)
}
