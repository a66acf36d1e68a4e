package messages

// To a login process, from its worker, over a connection of their own: what the
// machine's name services know, which a worker without cgo cannot ask. What
// follows the kind is one text, and so is the answer, "" where nothing is known.
// A worker that somebody has taken over learns nothing else by it.
const (
	NameOfUser  = iota + 1 // uid in decimal
	NameOfGroup            // gid in decimal
	HomeOfUser             // name; not told to a worker with a Root
)

const (
	// MaxNameQuestion and MaxNameAnswer bound those messages in bytes.
	MaxNameQuestion = 512
	MaxNameAnswer   = 4096 + 4
	// MaxName bounds a name in bytes, so that one reply has room for thousands.
	// Ids with longer ones stay numbers.
	MaxName = 100
)
