package pamstack

// Return is what a module, or a whole stack, returns: the numbers of
// <security/_pam_types.h> on Linux.
type Return int

// The returns that callers name.
const (
	Success        Return = 0
	PermDenied     Return = 6
	AuthErr        Return = 7
	UserUnknown    Return = 10
	MaxTries       Return = 11
	NewAuthtokReqd Return = 12
	Ignore         Return = 25
	Abort          Return = 26
	ModuleUnknown  Return = 28
)

// returns are their names in a control, by number.
var returns = []string{
	"success", "open_err", "symbol_err", "service_err", "system_err", "buf_err", "perm_denied", "auth_err",
	"cred_insufficient", "authinfo_unavail", "user_unknown", "maxtries", "new_authtok_reqd", "acct_expired",
	"session_err", "cred_unavail", "cred_expired", "cred_err", "no_module_data", "conv_err", "authtok_err",
	"authtok_recover_err", "authtok_lock_busy", "authtok_disable_aging", "try_again", "ignore", "abort",
	"authtok_expired", "module_unknown", "bad_item", "conv_again", "incomplete",
}

func (r Return) String() string {
	if r < 0 || int(r) >= len(returns) {
		return "unknown"
	}
	return returns[r]
}
