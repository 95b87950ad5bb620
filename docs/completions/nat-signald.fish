# SPDX-License-Identifier: MIT
# Completion of nat-signald(8) for fish(1). tests/docs/check holds the flags against the program.

complete -c nat-signald -f
complete -c nat-signald -s h -l help -d 'Print the flags'
complete -c nat-signald -s c -l config -r -F -d 'Read this file'
complete -c nat-signald -l listen -x -d 'Serve WebSocket here'
complete -c nat-signald -l stun -x -a none -d 'Answer STUN here'
complete -c nat-signald -l stun-external -x -d 'What a STUN address is called outside'
complete -c nat-signald -l name -x -d 'What agents dial'
complete -c nat-signald -l turn-uri -x -d 'A relay that agents may use'
complete -c nat-signald -l turn-secret-file -r -F -d "The relays' secret"
complete -c nat-signald -l tls-cert -r -F -d 'Certificate, PEM'
complete -c nat-signald -l tls-key -r -F -d 'Its private key, PEM'
complete -c nat-signald -l allow-file -r -F -d 'Let in only the keys of this list'
complete -c nat-signald -l allow-wg -x -a '(ls /sys/class/net 2>/dev/null)' -d 'Let in only the peers of this interface'
complete -c nat-signald -l metrics -x -a none -d 'Serve /metrics and /healthz here'
complete -c nat-signald -l log-addresses -d "Write clients' addresses into the log"
complete -c nat-signald -l version -d 'Print the version'
