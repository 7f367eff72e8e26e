# shellcheck shell=bash
# What the scripts in this folder share: where state lives, installing what is missing, ports, and processes known by pid file.
# Sourced, never run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
LOCAL_DIR=${LOCAL_DIR:-$ROOT/.local}
# A server changes its folder, so a relative LOCAL_DIR must not reach it.
[[ $LOCAL_DIR == /* ]] || LOCAL_DIR=$PWD/$LOCAL_DIR
RUN_DIR=$LOCAL_DIR/run
LOG_DIR=$LOCAL_DIR/logs
SECRETS_DIR=$LOCAL_DIR/secrets
ENV_FILE=$LOCAL_DIR/env
PORTS_FILE=$LOCAL_DIR/ports
# Which programs are started and put into images: optimised ones, those that are shipped (dist), those that the tests use (debug), or
# what deploy/pgo made (pgo).
PROGRAMS=${PROGRAMS:-release}
BIN_DIR=${CARGO_TARGET_DIR:-$ROOT/target}/$PROGRAMS
CACHE_DIR=${XDG_CACHE_HOME:-${HOME:-$LOCAL_DIR}/.cache}/orderflow

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# usage SCRIPT: prints the comment at its top.
usage() {
    sed -n '2,/^source/{/^source/d;s/^# \{0,1\}//;p}' "$1" >&2
    exit 64
}

# State: LOCAL_DIR may be passed through (Postgres' own user must reach its folder) but not listed; secrets are for us alone.
make_state_dirs() {
    mkdir -p "$LOCAL_DIR" "$RUN_DIR" "$LOG_DIR" "$SECRETS_DIR"
    chmod 711 "$LOCAL_DIR"
    chmod 700 "$RUN_DIR" "$LOG_DIR" "$SECRETS_DIR"
}

# lock NAME: holds .local/NAME.lock until the script ends, so that two runs in one checkout take turns. Daemons close the descriptor.
lock() {
    make_state_dirs
    exec 9>"$LOCAL_DIR/$1.lock"
    flock -w 600 9 || die "another run holds $LOCAL_DIR/$1.lock for ten minutes already"
}

# secret NAME BYTES: prints the path of a file of random bytes in base64, made once.
secret() {
    local file=$SECRETS_DIR/$1
    [[ -s $file ]] || (umask 077 && head -c "$2" /dev/urandom | base64 -w0 >"$file")
    printf '%s\n' "$file"
}

# Starts the servers that are not up, and remembers for return_servers whether they were.
borrow_servers() {
    "$ROOT/deploy/backends" status >/dev/null && BORROWED='' || BORROWED=yes
    "$ROOT/deploy/backends" up
}

return_servers() { [[ -z ${BORROWED:-} ]] || "$ROOT/deploy/backends" down; }

# --- Installing ---------------------------------------------------------------------------------------------------------

# need COMMAND=PACKAGE...: installs by apt the packages whose command is missing, or says what to type.
need() {
    local missing=() pair
    for pair in "$@"; do
        [[ -n $(find_command "${pair%%=*}") ]] || missing+=("${pair#*=}")
    done
    ((${#missing[@]})) || return 0
    command -v apt-get >/dev/null || die "please install: ${missing[*]}"
    local sudo=()
    if ((EUID != 0)); then
        sudo -n true 2>/dev/null || die "please install these first: sudo apt-get install ${missing[*]}"
        sudo=(sudo)
    fi
    say "installing ${missing[*]}"
    apt_install "${missing[@]}"
}

# Debian starts a server as soon as it is installed; ours run from .local, so a policy forbids that for the moment of installing.
apt_install() {
    local policy=/usr/sbin/policy-rc.d log=$LOG_DIR/apt.log made='' status=0
    make_state_dirs
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod 755 "$policy"
        made=yes
    fi
    { "${sudo[@]}" apt-get update -q &&
        "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"; } \
        >"$log" 2>&1 || status=$?
    [[ -z $made ]] || "${sudo[@]}" rm -f "$policy"
    ((status == 0)) || { tail -n 20 "$log" >&2 && die "apt-get could not install $*; its log is $log"; }
}

# Servers live outside of an ordinary user's PATH, and Debian keeps one folder for each version of Postgres: the newest counts.
find_command() {
    local found
    found=$(PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin command -v "$1") ||
        found=$(find /usr/lib/postgresql -path "*/bin/$1" 2>/dev/null | sort -V | tail -n 1)
    printf '%s' "$found"
}

# Prints the folder of Kafka's jars, shared by all checkouts; it appears whole or not at all.
kafka_jars() {
    local pom=$ROOT/deploy/kafka/pom.xml sum jars part
    sum=$(cksum <"$pom")
    jars=$CACHE_DIR/kafka-${sum%% *}
    if [[ ! -d $jars ]]; then
        say "fetching Kafka from Maven Central"
        mkdir -p "$CACHE_DIR"
        part=$(mktemp -d "$jars.XXXXXX")
        mvn -q -B -ntp -f "$pom" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$part" \
            >"$LOG_DIR/maven.log" 2>&1 || { rm -rf "$part" && tail -n 20 "$LOG_DIR/maven.log" >&2 && return 1; }
        chmod 755 "$part"
        mv -T "$part" "$jars" 2>/dev/null || rm -rf "$part"
    fi
    printf '%s\n' "$jars"
}

# --- Ports --------------------------------------------------------------------------------------------------------------

port_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

next_free_port() {
    local port=$1
    until port_free "$port"; do port=$((port + 1)); done
    printf '%s\n' "$port"
}

# Checkouts get different blocks of ten ports, below those that the kernel gives to clients, so that two which start at once
# do not race for the same one.
first_port() {
    local sum
    sum=$(printf '%s' "$LOCAL_DIR" | cksum)
    printf '%s\n' $((20000 + ${sum%% *} % 1000 * 10))
}

# --- Processes ----------------------------------------------------------------------------------------------------------

# A process is ours if pid and start time are those noted when it was started: a pid alone may have been given to another.
start_time() {
    local stat fields
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != Z ]] && printf '%s\n' "${fields[19]}"
}

# running NAME: prints the pid, or fails.
running() {
    local pid started
    [[ -s $RUN_DIR/$1.pid ]] && read -r pid started <"$RUN_DIR/$1.pid" &&
        [[ $(start_time "$pid") == "$started" ]] && printf '%s\n' "$pid"
}

# start_daemon NAME COMMAND...: in its own session, with its log kept, the one before as NAME.log.1.
start_daemon() {
    local name=$1 log=$LOG_DIR/$1.log
    shift
    [[ ! -f $log ]] || mv -f "$log" "$log.1"
    (cd / && exec setsid "$@") >"$log" 2>&1 </dev/null 9>&- &
    printf '%s %s\n' "$!" "$(start_time $!)" >"$RUN_DIR/$name.pid"
}

# wait_until NAME SECONDS CHECK...: until CHECK succeeds; fails with the end of the log when NAME ends or time runs out.
wait_until() {
    local name=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ! running "$name" >/dev/null || ((SECONDS >= deadline)); then
            say "$name did not come up; the end of $LOG_DIR/$name.log:"
            tail -n 20 "$LOG_DIR/$name.log" >&2 || true
            return 1
        fi
        sleep 0.1
    done
}

# stop_daemon NAME SIGNAL SECONDS: asks with SIGNAL, and kills what has not gone in time.
stop_daemon() {
    local name=$1 pid deadline=$((SECONDS + $3))
    if pid=$(running "$name"); then
        kill -s "$2" "$pid"
        while running "$name" >/dev/null && ((SECONDS < deadline)); do sleep 0.1; done
        if running "$name" >/dev/null; then
            say "$name (pid $pid) did not stop within $3 s: killing it"
            kill -s KILL "$pid"
        fi
    fi
    rm -f "$RUN_DIR/$name.pid"
}
