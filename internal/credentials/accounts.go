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
	root, system := k.seeds[operatorName], k.seeds[systemName]
	if root == nil || system == nil {
		return nil, fmt.Errorf("the keys %s.nk and %s.nk are not there: they vouch for the accounts", operatorName, systemName)
	}
	keys := map[string]string{}
	for name, pair := range k.seeds {
		public, err := pair.PublicKey()
		if err != nil {
			return nil, err
		}
		keys[name] = public
	}
	if k.layout.Operator == "" {
		operator := jwt.NewOperatorClaims(keys[operatorName])
		operator.Name, operator.SystemAccount = "vibemesh", keys[systemName]
		token, err := operator.Encode(root)
		if err != nil {
			return nil, err
		}
		k.layout.Operator = token
	}
	systemClaims := jwt.NewAccountClaims(keys[systemName])
	systemClaims.Name = "SYS"
	k.forget(systemClaims)
	claims, err := k.account(log, keys)
	if err != nil {
		return nil, err
	}
	systemToken, err := valid(systemClaims, root)
	if err != nil {
		return nil, err
	}
	accountToken, err := valid(claims, root)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Who may connect to nats-server: made by `vibemesh credentials` for the prefix %s and %d\n"+
		"# partition(s). `vibemesh credentials --renew` makes it anew; every server needs the same.\n", log.Subjects.Prefix(), log.Subjects.Partitions())
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n", k.layout.Operator, keys[systemName])
	fmt.Fprintf(&b, "  # SYS\n  %s: %s\n  # VIBEMESH\n  %s: %s\n}\n", keys[systemName], systemToken, keys[accountName], accountToken)
	return []byte(b.String()), nil
}

// account is the account that holds the log: with JetStream, the mapping of its
// partitions, and a signing key of each role.
func (k *keyring) account(log Log, keys map[string]string) (*jwt.AccountClaims, error) {
	claims := jwt.NewAccountClaims(keys[accountName])
	claims.Name = "VIBEMESH"
	// What the servers allow is what there is: one account has all of it.
	claims.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	claims.Limits.DisallowBearer = true
	claims.Limits.LeafNodeConn = 0
	for _, m := range log.Subjects.Mappings() {
		claims.AddMapping(jwt.Subject(m.From), jwt.WeightedMapping{Subject: jwt.Subject(m.To), Weight: 100})
	}
	for _, name := range k.roles() {
		if _, err := find(name); err != nil {
			continue // a role that this version does not know any more: its users are refused
		}
		allowed, err := Permissions(name, log.Subjects)
		if err != nil {
			return nil, err
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
	k.forget(claims)
	return claims, nil
}

// forget lists in an account the users that are revoked, of it or of the other.
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
