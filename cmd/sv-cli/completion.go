package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints the script, written from the grammar so that it cannot fall behind.
func (c *completionCmd) Run(w world, app *kong.Application) error {
	switch c.Shell {
	case "zsh":
		return say(w, "#compdef sv-cli\nautoload -U +X bashcompinit && bashcompinit\n"+bashCompletion(app))
	case "fish":
		return say(w, fishCompletion(app))
	}
	return say(w, bashCompletion(app))
}

// flagsOf lists the flags of a command as --names.
func flagsOf(n *kong.Node) []string {
	var names []string
	for _, f := range n.Flags {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	}
	return names
}

// wordsOf lists the values of a command's argument.
func wordsOf(n *kong.Node) []string {
	for _, p := range n.Positional {
		if p.Enum != "" {
			return p.EnumSlice()
		}
	}
	return nil
}

func bashCompletion(app *kong.Application) string {
	var cases, commands strings.Builder
	for _, n := range app.Leaves(true) {
		fmt.Fprintf(&commands, "%s ", n.Name)
		fmt.Fprintf(&cases, "    %s) words=\"%s\" ;;\n", n.Name, strings.Join(append(wordsOf(n), flagsOf(n)...), " "))
	}
	return fmt.Sprintf(`# bash completion of sv-cli
_sv_cli() {
  local cur="${COMP_WORDS[COMP_CWORD]}" command="" word words
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
    %[1]s) command="$word"; break ;;
    esac
  done
  case "$command" in
%[2]s    *) words="%[3]s" ;;
  esac
  case "${COMP_WORDS[COMP_CWORD-1]}" in
%[5]s  *) COMPREPLY=($(compgen -W "$words %[4]s" -- "$cur")) ;;
  esac
}
complete -F _sv_cli sv-cli`,
		strings.ReplaceAll(strings.TrimSpace(commands.String()), " ", "|"), cases.String(),
		strings.TrimSpace(commands.String()), strings.Join(flagsOf(app.Node), " "), bashValues(app))
}

// bashValues are the cases of flags whose values can be completed.
func bashValues(app *kong.Application) string {
	var b strings.Builder
	seen := map[string]bool{}
	for _, n := range app.Leaves(true) {
		for _, f := range n.Flags {
			switch {
			case seen[f.Name]:
				continue
			case takesFile(f):
				fmt.Fprintf(&b, "  --%s) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n", f.Name)
			case f.Enum != "":
				fmt.Fprintf(&b, "  --%s) COMPREPLY=($(compgen -W \"%s\" -- \"$cur\")) ;;\n", f.Name, strings.Join(f.EnumSlice(), " "))
			}
			seen[f.Name] = true
		}
	}
	return b.String()
}

func takesFile(f *kong.Flag) bool { return f.Tag.Type == "path" }

func fishCompletion(app *kong.Application) string {
	var b strings.Builder
	b.WriteString("# fish completion of sv-cli\ncomplete -c sv-cli -f\n")
	line := func(condition, rest, help string) {
		fmt.Fprintf(&b, "complete -c sv-cli%s %s -d '%s'\n", condition, rest, strings.ReplaceAll(help, "'", `\'`))
	}
	flags := func(condition string, n *kong.Node) {
		for _, f := range n.Flags {
			if f.Hidden {
				continue
			}
			rest := "-l " + f.Name
			switch {
			case takesFile(f):
				rest += " -r -F"
			case f.Enum != "":
				rest += " -x -a '" + strings.Join(f.EnumSlice(), " ") + "'"
			case !f.IsBool():
				rest += " -x"
			}
			line(condition, rest, f.Help)
		}
	}
	flags("", app.Node)
	for _, n := range app.Leaves(true) {
		line(" -n __fish_use_subcommand", "-a "+n.Name, n.Help)
		inside := fmt.Sprintf(" -n '__fish_seen_subcommand_from %s'", n.Name)
		flags(inside, n)
		for _, word := range wordsOf(n) {
			line(inside, "-a "+word, "")
		}
	}
	return strings.TrimSpace(b.String())
}
