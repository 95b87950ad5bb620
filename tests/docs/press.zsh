# SPDX-License-Identifier: MIT
# press.zsh DIR: types into a zsh in a terminal of its own, presses Tab and Return, and sees what the command
# line was. Our programs are functions there, which say with what they were called. What does not come is
# waited for until the caller ends us.
zmodload zsh/zpty
typeset -i failed=0
local got

# What it prints up to the pattern, into `got`
await() {
  local piece
  got=
  while [[ $got != $~1 ]]; do
    zpty -r shell piece || { print -r -- "FAILED zsh ended: $got"; exit 1 }
    got+=$piece
  done
}

# is WHAT TYPED EXPECTED: the arguments after Tab
is() {
  zpty -w -n shell "$2"$'\t\n'
  await '*[<]*[>]*'
  got=${${${got#*<}%%>*}% }
  [[ $got == $3 ]] && return
  print -r -- "FAILED zsh: $1: expected '$3', got '$got'"
  failed=1
}

zpty shell zsh -f -i
zpty -w shell "PS1= PROMPT_EOL_MARK= fpath=(${(q)1} \$fpath); autoload -U compinit; compinit -u -D"
zpty -w shell 'for f in nat-agent nat-signald wgctl; do functions[$f]="print -r -- \"<\$*>\""; done; print -r -- REA""DY'
await '*READY*'
is 'a command' 'nat-agent netc' netcheck
is 'a flag' 'nat-agent netcheck --js' 'netcheck --json'
is 'flags of innernet install' 'nat-agent innernet install --del' 'innernet install --delete-invite'
is 'an interface' 'nat-agent status --interface l' 'status --interface lo'
is 'a peer' 'nat-agent ping al' 'ping alice'
is 'a peer of another agent' 'nat-agent ping --control /x Hx' \
  'ping --control /x HxwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHh8='
is 'nat-signald, a flag' 'nat-signald --log' '--log-addresses'
is 'wgctl, of a peer' 'wgctl set wg0 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= end' \
  'set wg0 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= endpoint'
zpty -d shell
exit failed
