package main

import (
	"os/user"

	"github.com/otpgate/otpgate/internal/sftpd/fields"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/seqpacket"
)

// answerNames tells the worker names until it has ended, one after the other:
// a name service that takes its time holds up nothing else.
func answerNames(worker *seqpacket.Conn, homes bool) {
	defer worker.Close()
	buffer := make([]byte, messages.MaxNameQuestion)
	for {
		message, err := worker.ReceiveMessage(buffer)
		if err != nil {
			return
		}
		r := fields.NewReader(message)
		kind, about := r.U8(), r.Text()
		if r.Done() != nil {
			return
		}
		var w fields.Writer
		if worker.Send(w.Text(nameOf(kind, about, homes)).Bytes) != nil {
			return
		}
	}
}

// nameOf asks the machine's name services. An error is no name: the worker can
// do nothing about it.
func nameOf(kind uint8, about string, homes bool) string {
	var name string
	longest := messages.MaxName
	switch kind {
	case messages.NameOfUser:
		if found, err := user.LookupId(about); err == nil {
			name = found.Username
		}
	case messages.NameOfGroup:
		if found, err := user.LookupGroupId(about); err == nil {
			name = found.Name
		}
	case messages.HomeOfUser:
		longest = messages.MaxNameAnswer - 4
		if found, err := user.Lookup(about); err == nil && homes {
			name = found.HomeDir
		}
	}
	if len(name) > longest {
		return ""
	}
	return name
}
