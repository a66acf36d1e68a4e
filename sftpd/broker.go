package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otpgate/otpgate/internal/audit"
	"github.com/otpgate/otpgate/internal/config"
	"github.com/otpgate/otpgate/internal/deliver"
	"github.com/otpgate/otpgate/internal/deliver/transport"
	"github.com/otpgate/otpgate/internal/gate"
	"github.com/otpgate/otpgate/internal/invitation"
	"github.com/otpgate/otpgate/internal/nss"
	"github.com/otpgate/otpgate/internal/pamstack"
	"github.com/otpgate/otpgate/internal/safefile"
	"github.com/otpgate/otpgate/internal/sftp/deny"
	"github.com/otpgate/otpgate/internal/sftpd/admission"
	"github.com/otpgate/otpgate/internal/sftpd/authentication"
	"github.com/otpgate/otpgate/internal/sftpd/messages"
	"github.com/otpgate/otpgate/internal/sftpd/session"
	"github.com/otpgate/otpgate/internal/sftpd/stderrlog"
	"github.com/otpgate/otpgate/internal/verifierlogin"
)

// serverVersion is the identification line (RFC 4253 section 4.2). Clients
// choose workarounds by it, so it does not change with releases.
const serverVersion = "SSH-2.0-otpgate_sftpd"

type broker struct {
	options    options
	programs   programs
	log        recorder
	limitedLog *audit.Limiter
	metrics    *metrics
	now        func() time.Time

	mu     sync.Mutex
	seen   config.State
	engine *gate.Gate
	keys   []hostKey
	front  frontIdentity
	fronts []*front
	ended  bool
	next   int

	keysLater     bool       // a host key is still to be made
	slowKeys      sync.Mutex // while it is
	admission     *admission.Counter
	authenticator authentication.Authenticator
	bandwidth     bandwidth
	frontsSay     stderrlog.Limit
	connections   atomic.Int64
}

// frontIdentity is what fronts become.
type frontIdentity struct {
	uid, gid uint32
	root     string
}

// assemble is a broker that knows no configuration yet.
func assemble(o options, p programs, log audit.Syslog) *broker {
	counts := newMetrics()
	b := &broker{options: o, programs: p, log: recorder{log, counts}, metrics: counts, now: time.Now, admission: admission.NewCounter(time.Now), bandwidth: bandwidth{now: time.Now}}
	b.limitedLog = audit.NewLimiter(log.Write) // counted by what calls it
	b.authenticator = authentication.Authenticator{Program: p.login, Log: b.log, Limited: limitedRecorder{b}, Pause: time.Sleep, Now: time.Now, Workers: session.Workers{Program: p.worker}}
	return b
}

func newBroker(o options, p programs) (*broker, error) {
	log := audit.Syslog{Fallback: audit.NewStream(int(os.Stderr.Fd()))}
	if err := log.Keep(); err != nil {
		return nil, err
	}
	b := assemble(o, p, log)
	if err := b.load(); err != nil {
		return nil, err
	}
	settings := b.settings().SFTP
	var err error
	if err := checkService(settings.PAMService); err != nil {
		return nil, err
	}
	if b.front, err = identifyFront(settings.FrontUser, filepath.Join(o.run, "empty")); err != nil {
		return nil, err
	}
	if b.keysLater, err = b.openHostKeys(); err != nil {
		return nil, err
	}
	authentication.CheckKeyFiles(b.settings().SFTP, b.report)
	return b, nil
}

// load reads the configuration. What it was before holds if that fails.
func (b *broker) load() error {
	seen, err := config.StateOf(b.options.config)
	if err != nil {
		return err
	}
	engine, err := gate.Open(b.options.config, b.log)
	if err != nil {
		return err
	}
	if _, err := deny.Parse(engine.Config.SFTP.Deny.Texts()); err != nil {
		return fmt.Errorf("%s: sftp.%w", b.configPath(), err)
	}
	engine.Sender, engine.Invite = b.sender(engine.Config), invitation.AtLogin
	if engine.Config.Remote == nil { // there the verifier asks
		engine.UseBreakGlass()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.engine, b.seen = engine, config.State{}
	if seen.Settled(b.now()) {
		b.seen = seen
	}
	return nil
}

// sender sends the codes of a configuration. As long as it cannot, it denies
// those who need it, and nobody else.
func (b *broker) sender(settings config.Config) deliver.Sender {
	if settings.Email == nil && settings.SMS == nil {
		return nil
	}
	sender, err := transport.New(settings)
	if err != nil {
		b.log.Write(audit.Record{Service: settings.SFTP.PAMService, Verdict: "fault", Rule: "configuration", Reason: err.Error()})
	}
	return sender
}

// deciding is what decides logins: on a client its servers, by way of its verifier.
func (b *broker) deciding(engine *gate.Gate) authentication.Engine {
	if engine.Config.Remote == nil {
		return engine
	}
	return &verifierlogin.Engine{Here: engine, Config: b.options.config, Rule: "remote", Decided: counter{b.metrics}, Pause: time.Sleep}
}

func (b *broker) configPath() string {
	if b.options.config == "" {
		return config.DefaultPath
	}
	return b.options.config
}

func (b *broker) settings() config.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.engine.Config
}

// current is the engine for the configuration as it is in the file: a change
// of who must give a code holds from the next login on. A file that is wrong
// denies.
func (b *broker) current() (*gate.Gate, error) {
	now, err := config.StateOf(b.options.config)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	same := now == b.seen
	engine := b.engine
	b.mu.Unlock()
	if same {
		return engine, nil
	}
	if err := b.load(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.engine, nil
}

// reload reads again what the configuration names. What is wrong is logged,
// and what was before holds.
func (b *broker) reload() {
	err := b.load()
	if err == nil {
		b.keysLater, err = b.openHostKeys()
	}
	if err != nil {
		b.report("configuration", err)
		return
	}
	authentication.CheckKeyFiles(b.settings().SFTP, b.report)
	b.tellFronts()
	b.finishHostKeys()
}

// report is for what is nobody's login.
func (b *broker) report(rule string, err error) {
	b.log.Write(audit.Record{Service: b.settings().SFTP.PAMService, Verdict: "fault", Rule: rule, Reason: err.Error()})
}

// frontSettings are for connections from now on, with the host keys that they
// name.
func (b *broker) frontSettings() (messages.Settings, []hostKey) {
	settings := b.settings().SFTP
	banner := b.banner(settings.Banner)
	b.mu.Lock()
	defer b.mu.Unlock()
	s := messages.Settings{
		Version: serverVersion, Banner: banner, Idle: settings.Limits.IdleTimeout.Duration, Keepalive: settings.Limits.Keepalive.Duration,
		Bandwidth: uint64(settings.Limits.Bandwidth), Unproven: settings.UnprovenKeys != config.RefuseUnproven,
		Passwords: true, PublicKeys: len(settings.AuthorizedKeys) > 0 || len(settings.KeysCommand) > 0 || settings.TrustedUserCAKeys != "",
	}
	for _, key := range b.keys {
		s.HostKeys = append(s.HostKeys, key.public)
	}
	return s, b.keys
}

// banner reads what is shown before the login. Its absence keeps nobody out.
func (b *broker) banner(path string) string {
	if path == "" {
		return ""
	}
	text, err := safefile.Read(path, safefile.Rules{Forbidden: 0o022, MaxSize: 16 << 10})
	if err != nil {
		b.report("configuration", fmt.Errorf("sftp.banner: %w", err))
		return ""
	}
	return string(text)
}

// checkService refuses a service for which libpam would silently take another
// one: other, which denies everybody on some distributions.
func checkService(name string) error {
	if _, found := pamstack.Of("").Find(strings.ToLower(name)); !found {
		return fmt.Errorf("sftp.pam_service: there is no %s/%s; name one that is there, or install the package's again", pamstack.AdminDir, name)
	}
	return nil
}

// identifyFront looks up whom fronts run as and makes their directory.
func identifyFront(name, root string) (frontIdentity, error) {
	account, known, err := nss.UserByName(name)
	if err == nil && !known {
		err = nss.ErrUnknownUser
	}
	if err != nil {
		return frontIdentity{}, fmt.Errorf("sftp.front_user %q: %w; make a system user of that name, or name another", name, err)
	}
	if account.UID == 0 {
		return frontIdentity{}, fmt.Errorf("sftp.front_user %q: uid 0, expected a user without rights", name)
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return frontIdentity{}, fmt.Errorf("directory of the fronts: %w", err)
	}
	dir, err := safefile.OpenDir(root)
	if err != nil {
		return frontIdentity{}, fmt.Errorf("directory of the fronts: %w", err)
	}
	defer dir.Close()
	if names, err := os.ReadDir(root); err != nil || len(names) > 0 {
		return frontIdentity{}, fmt.Errorf("directory of the fronts: expected %s to be empty, found %d names, %v", root, len(names), err)
	}
	return frontIdentity{account.UID, account.GID, root}, nil
}

func (b *broker) frontCount() int {
	if n := b.settings().SFTP.Fronts; n > 0 {
		return n
	}
	return runtime.NumCPU()
}
