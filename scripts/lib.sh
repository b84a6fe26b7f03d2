# Shared by the scripts: sourced, not run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# ensure_packages package:proof ...  Installs by apt what is missing. A proof is a command, or a file if it begins with /.
ensure_packages() {
  local missing=() pair package proof
  for pair in "$@"; do
    package=${pair%%:*} proof=${pair#*:}
    case $proof in
      /*) [ -e "$proof" ] || missing+=("$package") ;;
      *) command -v "$proof" >/dev/null || missing+=("$package") ;;
    esac
  done
  [ ${#missing[@]} -eq 0 ] && return
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "these packages are missing; install them first: sudo apt-get install ${missing[*]}"
    as_root=(sudo -n)
  fi
  command -v apt-get >/dev/null || die "these packages are missing, and there is no apt-get here: ${missing[*]}"
  echo "installing ${missing[*]}" >&2
  # RUNLEVEL=1 keeps a newly installed redis-server package from starting a server of its own.
  "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2
  "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -qq -y install "${missing[@]}" >/dev/null
}

# What the tests start beside redis-server. RUNLEVEL=1 keeps the package from starting a server of its own, too.
ensure_test_packages() {
  ensure_packages mariadb-server:mariadbd openssl:openssl gnuplot-nox:gnuplot
}

ensure_run_packages() {
  ensure_packages binutils:strip redis-server:redis-server redis-tools:redis-benchmark libhiredis-dev:/usr/include/hiredis/hiredis.h \
    libsqlite3-dev:/usr/include/sqlite3.h libmariadb-dev:/usr/include/mariadb/mysql.h
  command -v swift >/dev/null || die "Swift 6.2 or later is missing; see https://www.swift.org/install/linux"
}
