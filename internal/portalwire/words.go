package portalwire

// What has become of a link: the words of Page.State. All but Ready are also why
// something is refused.
const (
	Ready     = "ready"
	Unknown   = "unknown"
	Used      = "used"
	Expired   = "expired"
	Cancelled = "cancelled"
	Disabled  = "disabled"
	Removed   = "removed"
	Overtaken = "overtaken"
)

// Why else something is refused: the other words of Answer.Refused.
const (
	// OpenedAgain is of a browser that opened the link before another one did.
	OpenedAgain = "opened-again"
	// SessionEnded is of a browser that waited for too long, or whose key is gone.
	SessionEnded = "visit-ended"
	// WrongFirst is of a first code that is not right, MalformedFirst of what has not the
	// form of one, UsedFirst of one that was used.
	WrongFirst     = "wrong-first"
	MalformedFirst = "malformed-first"
	UsedFirst      = "used-first"
	// WrongCurrent is of what is no right code of a device that counts, UsedCurrent of one
	// that was used.
	WrongCurrent = "wrong-current"
	UsedCurrent  = "used-current"
	// NewKey comes with the Setup of another key, after too many wrong first codes.
	NewKey = "new-key"
	// Locked comes with the time until which wrong codes keep the person or the address out,
	// or too many requests for one link that link.
	Locked = "locked"
	// NoDevice is of somebody enrolled who has no device and no recovery code: codes that
	// are sent show only who reads the mail.
	NoDevice = "no-device"
	// NotFound is of a device, a remembered login or a login that is not there any more.
	NotFound = "no-such"
	// BadName is of what cannot be a device's name, TakenName of one that another device
	// has, TooManyDevices of somebody who has as many as there may be.
	BadName        = "bad-name"
	TakenName      = "taken-name"
	TooManyDevices = "too-many-devices"
	// YoungDevice is of a code of a device that was added in the same browser session.
	YoungDevice = "young-device"
	// LastDevice is of the last one of somebody who must have one.
	LastDevice = "last-device"
)
