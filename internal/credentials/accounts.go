package credentials

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// accounts is the text of accounts.conf. It completes the layout, which is to be written
// with it.
func (k *keyring) accounts(log Log) ([]byte, error) {
	root := k.seeds[operatorName]
	for _, name := range []string{operatorName, accountName, backendsName, systemName} {
		if k.seeds[name] == nil {
			return nil, fmt.Errorf("the key %s.nk is not there: accounts.conf cannot be made without", name)
		}
	}
	keys := map[string]string{}
	for name, pair := range k.seeds {
		public, err := pair.PublicKey()
		if err != nil {
			return nil, err
		}
		keys[name] = public
	}
	k.layout.Accounts = map[string]string{accountName: keys[accountName], backendsName: keys[backendsName]}
	if k.layout.Operator == "" {
		operator := jwt.NewOperatorClaims(keys[operatorName])
		operator.Name, operator.SystemAccount = "vibemesh", keys[systemName]
		token, err := operator.Encode(root)
		if err != nil {
			return nil, err
		}
		k.layout.Operator = token
	}
	system := jwt.NewAccountClaims(keys[systemName])
	system.Name = "SYS"
	all := []*jwt.AccountClaims{system}
	for _, account := range []func(Log, map[string]string) (*jwt.AccountClaims, error){k.account, k.backends} {
		claims, err := account(log, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, claims)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Who may connect to nats-server: made by `vibemesh credentials` for the prefix %s and %d\n"+
		"# partition(s). `vibemesh credentials --renew` makes it anew; every server needs the same.\n", log.Subjects.Prefix(), log.Subjects.Partitions())
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n", k.layout.Operator, keys[systemName])
	for _, claims := range all {
		k.forget(claims)
		token, err := valid(claims, root)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  # %s\n  %s: %s\n", claims.Name, claims.Subject, token)
	}
	b.WriteString("}\n")
	return []byte(b.String()), nil
}

// account is the account that holds the log: with JetStream, the mapping of its
// partitions, what the backends' may publish here, and its roles.
func (k *keyring) account(log Log, keys map[string]string) (*jwt.AccountClaims, error) {
	claims := jwt.NewAccountClaims(keys[accountName])
	claims.Name = "VIBEMESH"
	// What the servers allow is what there is: one account has all of it.
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	for _, m := range log.Subjects.Mappings() {
		claims.AddMapping(jwt.Subject(m.From), jwt.WeightedMapping{Subject: jwt.Subject(m.To), Weight: 100})
	}
	for _, subject := range offered(log) {
		claims.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service})
	}
	return claims, k.addRoles(claims, accountName, log, keys)
}

// What the backends' account may take of the servers, so that none of its users keeps the
// mesh itself out: half the connections of one server (max_connections), over all servers;
// subscriptions, of one connection; and no larger message than the log takes, since a signal
// goes to every edge.
const (
	backendConnections   = 5000
	backendSubscriptions = 100
	backendPayload       = 128 << 10
)

// backends is the account of who publishes from outside. It has no JetStream; what its
// users publish goes to the other one's, as they may.
func (k *keyring) backends(log Log, keys map[string]string) (*jwt.AccountClaims, error) {
	claims := jwt.NewAccountClaims(keys[backendsName])
	claims.Name = "BACKENDS"
	claims.Limits.Conn, claims.Limits.Subs, claims.Limits.Payload = backendConnections, backendSubscriptions, backendPayload
	for _, subject := range offered(log) {
		claims.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: keys[accountName], Type: jwt.Service})
	}
	return claims, k.addRoles(claims, backendsName, log, keys)
}

// offered is what the account of the log lets the backends' publish to.
func offered(log Log) []string {
	return []string{log.Subjects.Prefix() + ".ws.>", log.Subjects.Prefix() + ".signal.>"}
}

// addRoles gives an account a signing key of each of its roles.
func (k *keyring) addRoles(claims *jwt.AccountClaims, account string, log Log, keys map[string]string) error {
	claims.Limits.DisallowBearer = true
	claims.Limits.LeafNodeConn = 0
	for _, name := range k.roles() {
		// A role that this version does not know any more: its users are refused.
		if of, err := accountOf(name); err != nil || of != account {
			continue
		}
		allowed, err := Permissions(name, log.Subjects)
		if err != nil {
			return err
		}
		scope := jwt.NewUserScope()
		scope.Key, scope.Role = keys[name], name
		scope.Template.Pub.Allow.Add(allowed.Publish...)
		scope.Template.Sub.Allow.Add(allowed.Subscribe...)
		if allowed.Answers > 0 {
			scope.Template.Resp = &jwt.ResponsePermission{MaxMsgs: allowed.Answers, Expires: allowed.AnswersFor}
		}
		scope.Template.AllowedConnectionTypes.Add(jwt.ConnectionTypeStandard, jwt.ConnectionTypeWebsocket)
		claims.SigningKeys.AddScopedSigner(scope)
	}
	return nil
}

// forget lists in an account the users that are revoked, of it or of another.
func (k *keyring) forget(claims *jwt.AccountClaims) {
	if len(k.layout.Revoked) > 0 {
		claims.Revocations = jwt.RevocationList(k.layout.Revoked)
	}
}

// valid signs claims that NATS finds nothing wrong with.
func valid(claims *jwt.AccountClaims, root nkeys.KeyPair) (string, error) {
	found := jwt.CreateValidationResults()
	claims.Validate(found)
	var errs []error
	for _, issue := range found.Issues {
		if issue.Blocking {
			errs = append(errs, fmt.Errorf("the account %s: %s", claims.Name, issue.Description))
		}
	}
	if len(errs) > 0 {
		return "", errors.Join(errs...)
	}
	return claims.Encode(root)
}
