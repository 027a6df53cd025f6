#!/usr/bin/env bash
# Installs what `make conformance` runs: every client's own package in the pinned version, its story, and nginx.
#
#   install.sh FOLDER     what is there already, and has not changed, is left alone
#
# A client can be run when FOLDER/<client>/run is there; FOLDER/<client>/missing says why it is not. That is no error
# here: yaks-conformance counts such a client as not run. Uses apt as root or through sudo, and asks nothing.
set -euo pipefail

clients=$(cd "$(dirname "${BASH_SOURCE[0]}")/clients" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)

as_root() {
    if [[ $(id -u) == 0 ]]; then
        env "$@"
    else
        sudo -n env "$@"
    fi
}

apt_is_up_to_date=
apt_update() {
    [[ -n $apt_is_up_to_date ]] || as_root apt-get update -qq || echo "apt-get update failed; going on with what apt knows"
    apt_is_up_to_date=yes
}

# need COMMAND PACKAGE...: the packages, unless the command is there.
need() {
    command -v "$1" >/dev/null && return
    apt_update
    as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${@:2}"
}

# --- packages: each fills $folder/<package>, and says which files decide what is in it ---

jars() {
    need mvn maven && need javac default-jdk-headless || return
    mvn -B -q -f "$clients/java/pom.xml" -P "$1" dependency:copy-dependencies "-DoutputDirectory=$2" &&
        javac -nowarn -cp "$2/*" -d "$2" "$clients"/java/*.java
}
jars-3.9() { jars kafka-3.9 "$1"; }
jars-4() { jars kafka-4 "$1"; }

python() {
    need python3 python3 || return
    python3 -m venv "$1" 2>/dev/null || { need no-such-command python3-venv && python3 -m venv "$1"; } || return
    "$1/bin/pip" install -q --disable-pip-version-check --no-deps -r "$clients/python/requirements.txt"
}

go-story() {
    need go golang-go && (cd "$clients/go" && go build -mod=readonly -o "$1/story" .)
}

node-modules() {
    need node nodejs && need npm npm && cp "$clients"/node/* "$1" && (cd "$1" && npm ci --silent --no-audit --no-fund)
}

kcat-program() { need kcat kcat; }

# Unpacked, not installed: Debian's package would start a server on port 80.
nginx-files() {
    apt_update
    (cd "$1" && apt-get download -qq nginx libnginx-mod-stream) || return
    for package in "$1"/*.deb; do
        dpkg-deb -x "$package" "$1"
    done
    "$1/usr/sbin/nginx" -v
}

# package NAME SOURCES...: fills the folder anew when a source or this script has changed.
package() {
    local name=$1 target=$folder/$1 stamp
    shift
    stamp=$(cat "${BASH_SOURCE[0]}" "$@" | sha256sum)
    [[ -e $target/.stamp && $(cat "$target/.stamp") == "$stamp" ]] && return
    rm -rf "$target"
    mkdir -p "$target"
    echo "conformance: installing $name"
    if "$name" "$target" >"$folder/$name.log" 2>&1 </dev/null; then
        echo "$stamp" >"$target/.stamp"
    else
        echo "conformance: $name could not be installed, see $folder/$name.log" >&2
    fi
}

# client NAME PACKAGE COMMAND...: how the client is run, if its package is there. It gets BOOTSTRAP and RUN.
client() {
    local name=$1 package=$2
    shift 2
    rm -rf "${folder:?}/$name"
    mkdir -p "$folder/$name"
    if [[ -e $folder/$package/.stamp ]]; then
        printf '#!/bin/sh\nexec %s "$@"\n' "$(printf '%q ' "$@")" >"$folder/$name/run"
        chmod +x "$folder/$name/run"
    else
        echo "$package could not be installed: $(tail -n 1 "$folder/$package.log" | cut -c 1-200)" >"$folder/$name/missing"
    fi
}

java_client() {
    local name=$1 jars=$2 main=$3
    client "$name" "$jars" java -Xmx256m -XX:+UseSerialGC -cp "$folder/$jars:$folder/$jars/*" "$main"
}

package jars-3.9 "$clients"/java/{pom.xml,*.java}
package jars-4 "$clients"/java/{pom.xml,*.java}
package python "$clients/python/requirements.txt"
package go-story "$clients"/go/*
package node-modules "$clients"/node/*
package kcat-program
package nginx-files

java_client java-3.9 jars-3.9 Story
java_client java-4 jars-4 Story
client tools-3.9 jars-3.9 "$clients/java/tools.sh" "$folder/jars-3.9"
client tools-4 jars-4 "$clients/java/tools.sh" "$folder/jars-4"
java_client console jars-4 Console
client confluent-kafka python "$folder/python/bin/python" -B "$clients/python/confluent.py"
client kafka-python python "$folder/python/bin/python" -B "$clients/python/kafka_python.py"
client aiokafka python "$folder/python/bin/python" -B "$clients/python/aio.py"
client franz-go go-story "$folder/go-story/story"
client kafkajs node-modules node "$folder/node-modules/story.js"
client kcat kcat-program "$clients/kcat/story.sh"
client nginx nginx-files "$folder/nginx-files/usr/sbin/nginx"
