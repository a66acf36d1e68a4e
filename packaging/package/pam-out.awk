# pam-out.awk writes a file of pam.d without the lines that call pam_otpgate.so.
# With find=1, given all files of pam.d, it writes only the names of those in
# which nothing but such a line keeps out whom the others do not know.

FNR == 1 { end_of_file(); file = name_of(FILENAME) }
{
	raw = more ? raw "\n" $0 : $0
	more = /\\$/
	if (!more) statement(raw)
}
END {
	end_of_file()
	if (find) for (f in ours) if (!asks(f)) suspect(f)
}

function end_of_file() {
	if (more) statement(raw)
	more = splits = 0
	delete jumps
}

function name_of(path) { sub(/.*\//, "", path); return path }

# statement reads one line, which may be several that end in a backslash.
function statement(raw,    type, rest, control, module) {
	rest = raw
	gsub(/\\\n/, " ", rest)
	sub(/#.*/, "", rest)
	gsub(/[ \t]+/, " ", rest)
	sub(/^ /, "", rest)
	type = tolower(word(rest))
	sub(/^-/, "", type)
	rest = after(rest, word(rest))
	control = rest ~ /^\[/ ? substr(rest, 1, index(rest, "]")) : word(rest)
	module = word(after(rest, control))
	rest = after(after(rest, control), module) " "
	if (find) learn(type, tolower(control), module)
	else if (name_of(module) == "pam_otpgate.so") take_out(type, control, rest)
	else keep(raw, type, control)
}

function word(text) { sub(/ .*/, "", text); return text }
function after(text, start) { text = substr(text, length(start) + 1); sub(/^ /, "", text); return text }

# take_out leaves in the place of a line that others jump over, or to, one that
# ends as the right code did, so that their numbers stay true.
function take_out(type, control, arguments) {
	if (arguments ~ /(^| )split /) {
		splits = 1
		control = "[default=ignore]"
	}
	if (jumps[type]) print type, control, "pam_permit.so # instead of otpgate: lines above count this one"
}

# keep writes a line as it is, but for the password module behind a line with
# split, which had the password from there and must now ask for it itself.
function keep(raw, type, control) {
	if (control ~ /=[ ]*[0-9]/) jumps[type] = 1
	if (splits && type == "auth" && sub(/[ \t]use_first_pass/, "", raw)) splits = 0
	print raw
}

function learn(type, control, module) {
	if (type == "@include") includes[file] = includes[file] " " name_of(control)
	if (type != "auth") return
	if (control == "include" || control == "substack") includes[file] = includes[file] " " name_of(module)
	module = name_of(module)
	if (module == "pam_otpgate.so") ours[file] = 1
	# A module whose no is passed over keeps nobody out: behind it a pam_permit
	# may say yes.
	if (control ~ /^(sufficient|optional)$/ || control ~ /default ?= ?ignore/) return
	if (module ~ /^pam_(unix|sss|sss_gss|ldap|krb5|winbind|userdb|pwdfile|mysql|pgsql|radius|tacplus|u2f|pkcs11|p11|yubico|google_authenticator|oath|duo|deny)\.so$/)
		asking[file] = 1
}

# asks says whether a file denies by more than the code, by itself or by what it includes.
function asks(file,    list, n, i) {
	if (asking[file] || looked[file]) return asking[file] + 0
	looked[file] = 1
	n = split(includes[file], list, " ")
	for (i = 1; i <= n; i++) if (asks(list[i])) asking[file] = 1
	return asking[file] + 0
}

# suspect names the services that a file leaves open: those that include it, or
# itself if there is none.
function suspect(file,    f, by) {
	if (named[file]++) return
	by = 0
	for (f in includes) if (index(includes[f] " ", " " file " ")) {
		by++
		if (!asks(f)) suspect(f)
	}
	if (!by) print file
}
