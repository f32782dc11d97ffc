#!/bin/sh
# Makes the certificates with which edge and servers know each other, or renews those that expire within 30 days:
#
#     certificates.sh FOLDER
#
# FOLDER/authority   the authority: ca.crt and its key, which nothing but this script needs
# FOLDER/server      tls.crt, tls.key, ca.crt for every server (GRPC_TLS_CERT, GRPC_TLS_KEY, GRPC_TLS_CA)
# FOLDER/edge        the same for the edge
#
# Run it daily, or before each start: it changes nothing while nothing is due. Servers and Envoy read new files by
# themselves. Another authority: remove nothing, see docs/security.md. It needs openssl 1.1.1 or later.
set -eu
umask 027

folder=${1:?"usage: certificates.sh FOLDER"}
name=${GRPC_TLS_NAME:-tradingsignals-server}
renew_seconds=2592000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# new KEY: an elliptic curve key, whose signatures cost a server a tenth of those by RSA.
new() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

request() { # KEY NAME
    printf '[req]\ndistinguished_name = name\nprompt = no\n[name]\nO = Trading Signals\nCN = %s\n' "$2" > "$work/request.cnf"
    openssl req -new -config "$work/request.cnf" -key "$1" -out "$work/request.csr"
}

authority() {
    mkdir -p "$folder/authority"
    [ -e "$folder/authority/ca.key" ] && return
    new "$work/ca.key"
    request "$work/ca.key" "authority of the ports behind the edge"
    printf 'basicConstraints = critical, CA:TRUE, pathlen:0\nkeyUsage = critical, keyCertSign, cRLSign\nsubjectKeyIdentifier = hash\n' > "$work/extensions"
    openssl x509 -req -in "$work/request.csr" -signkey "$work/ca.key" -days 3650 -extfile "$work/extensions" -out "$work/ca.crt"
    place "$work/ca.crt" "$folder/authority/ca.crt"
    place "$work/ca.key" "$folder/authority/ca.key"
}

certificate() { # FOLDER NAME
    mkdir -p "$1"
    if [ -e "$1/tls.crt" ] && openssl x509 -in "$1/tls.crt" -noout -checkend "$renew_seconds" > /dev/null; then
        return
    fi
    new "$work/tls.key"
    request "$work/tls.key" "$2"
    printf 'subjectAltName = DNS:%s\nextendedKeyUsage = serverAuth, clientAuth\nkeyUsage = critical, digitalSignature\nbasicConstraints = critical, CA:FALSE\n' "$2" > "$work/extensions"
    openssl x509 -req -in "$work/request.csr" -CA "$folder/authority/ca.crt" -CAkey "$folder/authority/ca.key" \
        -set_serial "0x$(openssl rand -hex 16)" -days 365 -extfile "$work/extensions" -out "$work/tls.crt"
    cp "$folder/authority/ca.crt" "$work/trusted.crt"
    place "$work/trusted.crt" "$1/ca.crt"
    place "$work/tls.key" "$1/tls.key"
    place "$work/tls.crt" "$1/tls.crt"
    echo "wrote $1/tls.crt, for a year"
}

# Each file is whole as soon as it has its name: Envoy reads it then.
place() {
    cp "$1" "$2.new"
    chmod 640 "$2.new"
    mv "$2.new" "$2"
}

authority
certificate "$folder/server" "$name"
certificate "$folder/edge" tradingsignals-edge
