# SPDX-License-Identifier: MIT
# Completion of nat-agent(8) for fish(1). tests/docs/check holds the flags against the program.

# Whether these are the first words behind the program's name
function __nat_agent_is
    set -l words (commandline -opc)
    set -l n (count $argv)
    set -e words[1]
    test (count $words) -ge $n; and test "$words[1..$n]" = "$argv"
end

# Names and keys that a running agent knows. No agent, or one that does not answer at once: none. Of a peer
# the name follows the key, of an interface it comes before.
function __nat_agent_peers
    set -l words (commandline -opc)
    set -l asked
    for i in (seq 3 (count $words))
        switch $words[$i]
            case --control --interface
                set -a asked $words[$i] $words[(math $i + 1)]
            case '--control=*' '--interface=*'
                set -a asked $words[$i]
        end
    end
    timeout 1 nat-agent status --json $asked 2>/dev/null </dev/null | awk -F'"' '
        $2 == "name" && key != "" { if ($4 != "" && !/\\\\/) print $4; print key }
        { key = $2 == "public_key" ? $4 : "" }'
end

function __nat_agent_interfaces
    ls /sys/class/net 2>/dev/null
end

function __nat_agent_no_command
    test (count (commandline -opc)) -eq 1
end

complete -c nat-agent -f
complete -c nat-agent -n __nat_agent_no_command -l version -d 'Print the version'
complete -c nat-agent -s h -l help -d 'Print the flags'

complete -c nat-agent -n __nat_agent_no_command -a run -d 'Serve WireGuard interfaces'
complete -c nat-agent -n __nat_agent_no_command -a status -d 'Show what a running agent knows'
complete -c nat-agent -n __nat_agent_no_command -a netcheck -d 'Show what this network lets WireGuard do'
complete -c nat-agent -n __nat_agent_no_command -a events -d 'Print what happened lately, and what happens'
complete -c nat-agent -n __nat_agent_no_command -a ping -d 'Test the path to a peer'
complete -c nat-agent -n __nat_agent_no_command -a restart -d "Search a peer's path anew"
complete -c nat-agent -n __nat_agent_no_command -a reload -d 'Read the configuration file again'
complete -c nat-agent -n __nat_agent_no_command -a bugreport -d 'Write a file to send along with a report'
complete -c nat-agent -n __nat_agent_no_command -a teardown -d 'Give back what a stopped agent left'
complete -c nat-agent -n __nat_agent_no_command -a innernet -d 'Become a member of an innernet network'

complete -c nat-agent -n '__nat_agent_is run' -s c -l config -r -F -d 'Read this file'
complete -c nat-agent -n '__nat_agent_is run' -l interface -x -a '(__nat_agent_interfaces)' -d 'WireGuard interface to serve'
complete -c nat-agent -n '__nat_agent_is run' -l signal -x -d 'Signaling server'
complete -c nat-agent -n '__nat_agent_is run' -l stun -x -d 'Further STUN server'
complete -c nat-agent -n '__nat_agent_is run' -l turn -x -d 'TURN server'
complete -c nat-agent -n '__nat_agent_is run' -l control -r -F -d 'Control socket'
complete -c nat-agent -n '__nat_agent_is run' -l metrics -x -a none -d 'Serve /metrics and /healthz here'
complete -c nat-agent -n '__nat_agent_is run' -l no-port-mapping -d 'Routers map no port'

complete -c nat-agent -n '__nat_agent_is status' -l json -d 'Print JSON'
complete -c nat-agent -n '__nat_agent_is status' -l watch -d 'Show it anew every second'
complete -c nat-agent -n '__nat_agent_is status' -l interface -x -a '(__nat_agent_interfaces)' -d 'Only this interface'
complete -c nat-agent -n '__nat_agent_is status' -l control -r -F -d 'Control socket'
complete -c nat-agent -n '__nat_agent_is status' -a '(__nat_agent_peers)' -d Peer

complete -c nat-agent -n '__nat_agent_is netcheck' -l json -d 'Print JSON'
complete -c nat-agent -n '__nat_agent_is netcheck' -l signal -x -d 'Signaling server'
complete -c nat-agent -n '__nat_agent_is netcheck' -l stun -x -d 'STUN server'
complete -c nat-agent -n '__nat_agent_is netcheck' -l turn -x -d 'TURN server'
complete -c nat-agent -n '__nat_agent_is netcheck' -l slow -d 'How long mappings survive, too'

complete -c nat-agent -n '__nat_agent_is events' -l json -d 'One JSON object a line'
complete -c nat-agent -n '__nat_agent_is events' -l once -d 'End after what there is'
complete -c nat-agent -n '__nat_agent_is events' -l interface -x -a '(__nat_agent_interfaces)' -d 'Only this interface'
complete -c nat-agent -n '__nat_agent_is events' -l control -r -F -d 'Control socket'
complete -c nat-agent -n '__nat_agent_is events' -a '(__nat_agent_peers)' -d Peer

complete -c nat-agent -n '__nat_agent_is ping' -l paths -d 'Every pair of addresses'
complete -c nat-agent -n '__nat_agent_is ping' -l count -x -d 'End after so many'
complete -c nat-agent -n '__nat_agent_is ping' -l json -d 'One JSON object a line'
complete -c nat-agent -n '__nat_agent_is ping' -l interface -x -a '(__nat_agent_interfaces)' -d 'Of this interface'
complete -c nat-agent -n '__nat_agent_is ping' -l control -r -F -d 'Control socket'
complete -c nat-agent -n '__nat_agent_is ping' -a '(__nat_agent_peers)' -d Peer

complete -c nat-agent -n '__nat_agent_is restart' -l interface -x -a '(__nat_agent_interfaces)' -d 'Of this interface'
complete -c nat-agent -n '__nat_agent_is restart' -l control -r -F -d 'Control socket'
complete -c nat-agent -n '__nat_agent_is restart' -a '(__nat_agent_peers)' -d Peer

complete -c nat-agent -n '__nat_agent_is reload' -l interface -x -a '(__nat_agent_interfaces)' -d 'Agent of this instance'
complete -c nat-agent -n '__nat_agent_is reload' -l control -r -F -d 'Control socket'

complete -c nat-agent -n '__nat_agent_is bugreport' -l output -r -F -d 'Where to write it'
complete -c nat-agent -n '__nat_agent_is bugreport' -s c -l config -r -F -d "The agent's configuration file"
complete -c nat-agent -n '__nat_agent_is bugreport' -l interface -x -a '(__nat_agent_interfaces)' -d 'Agent of this instance'
complete -c nat-agent -n '__nat_agent_is bugreport' -l control -r -F -d 'Control socket'

complete -c nat-agent -n '__nat_agent_is teardown' -s c -l config -r -F -d "The agent's configuration file"
complete -c nat-agent -n '__nat_agent_is teardown' -l interface -x -a '(__nat_agent_interfaces)' -d 'Only this interface'

complete -c nat-agent -n '__nat_agent_is innernet; and not __nat_agent_is innernet install' -a install -d 'By an invitation'
complete -c nat-agent -n '__nat_agent_is innernet install' -F
complete -c nat-agent -n '__nat_agent_is innernet install' -l interface -x -d 'Name of the new interface'
complete -c nat-agent -n '__nat_agent_is innernet install' -l config-dir -x -a '(__fish_complete_directories)' -d 'Where its file goes'
complete -c nat-agent -n '__nat_agent_is innernet install' -l delete-invite -d 'Delete the invitation when it is redeemed'
