# SPDX-License-Identifier: MIT
# Completion of wgctl(8) for fish(1). tests/docs/check holds the words against the program.

# What stands before the word that is completed, behind the program's name: so many words, or more with '+',
# the first of them being the command (if one is named)
function __wgctl_at
    set -l words (commandline -opc)
    set -l n (math (count $words) - 1)
    if string match -q '*+' -- $argv[1]
        test $n -ge (string trim -r -c + -- $argv[1]); or return 1
    else
        test $n -eq $argv[1]; or return 1
    end
    test (count $argv) -eq 1; or contains -- $words[2] $argv[2..]
end

# Whether the third word is a key: no other is that long
function __wgctl_has_peer
    set -l words (commandline -opc)
    test (count $words) -ge 4; and test (string length -- $words[4]) -ge 43
end

# What the word before is
function __wgctl_after
    set -l words (commandline -opc)
    test (count $words) -ge 4; and contains -- $words[-1] $argv
end

function __wgctl_wants_word
    __wgctl_at 2+ set; and not __wgctl_after private-key preshared-key listen-port fwmark endpoint keepalive allowed-ips
end

function __wgctl_peers
    set -l words (commandline -opc)
    timeout 1 wgctl show $words[3] 2>/dev/null </dev/null | string replace -rf '^peer: ' ''
end

complete -c wgctl -f
complete -c wgctl -n '__wgctl_at 0' -l version -d 'Print the version'
complete -c wgctl -n '__wgctl_at 0' -l help -d 'Print a summary'
complete -c wgctl -n '__wgctl_at 0' -a list -d 'Names of all WireGuard interfaces'
complete -c wgctl -n '__wgctl_at 0' -a show -d 'An interface and its peers'
complete -c wgctl -n '__wgctl_at 0' -a set -d 'Change an interface or a peer'
complete -c wgctl -n '__wgctl_at 1 show set' -a '(timeout 1 wgctl list 2>/dev/null)' -d Interface
complete -c wgctl -n '__wgctl_at 2 show' -a dump -d 'All of it, for programs'
complete -c wgctl -n '__wgctl_at 2 set' -a '(__wgctl_peers)' -d Peer
complete -c wgctl -n '__wgctl_wants_word; and not __wgctl_has_peer' -a private-key
complete -c wgctl -n '__wgctl_wants_word; and not __wgctl_has_peer' -a listen-port
complete -c wgctl -n '__wgctl_wants_word; and not __wgctl_has_peer' -a fwmark
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a endpoint
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a keepalive
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a rearm
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a replace
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a create
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a allowed-ips
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a preshared-key
complete -c wgctl -n '__wgctl_wants_word; and __wgctl_has_peer' -a remove
complete -c wgctl -n '__wgctl_after private-key preshared-key' -F
complete -c wgctl -n '__wgctl_after endpoint' -a none
complete -c wgctl -n '__wgctl_after keepalive fwmark' -a off
