# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The static checks: what needs no built program. Sourced by scripts/test.

check_format() {
  git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run -Werror
}

check_shell() {
  git ls-files -z scripts tests .ci | xargs -0 grep -lzE '^#!/bin/(ba)?sh' | tr -d '\0' | sort -u | xargs shellcheck -x
}

# The rooms are as docs/architecture.md says; <linux/kvm.h>, <linux/vfio.h> and Asio have one place each.
check_rooms() {
  scripts/rooms \
    && included_nowhere_but 'linux/kvm\.h' ':!vmm/kvm' ':!tests/kvm' \
    && included_nowhere_but 'linux/vfio\.h' ':!devices/physical/vfio' ':!tests/unit/devices/physical/vfio' \
    && included_nowhere_but 'boost/asio\.hpp' ':!vmm/base/asio.hpp'
}

# included_nowhere_but HEADER ROOM…: git says 1 where it found nothing, and something else where it could not look.
included_nowhere_but() {
  local header=$1 status=0
  shift
  git grep -nE "#include <$header>" -- '*.cpp' '*.hpp' "$@" || status=$?
  ((status == 1))
}

check_spdx() {
  local files file status=0
  files=$(git ls-files '*.cpp' '*.hpp' '*.sh' '*.cmake' 'CMakeLists.txt' 'scripts/*') || return 1
  while read -r file; do
    grep -q 'SPDX-License-Identifier: Apache-2.0' "$file" || { echo "$file has no licence line" && status=1; }
  done <<<"$files"
  return "$status"
}

run_static_checks() {
  begin_cost 'static checks'
  stage "format, shell and house rules"
  check format check_format
  check shellcheck check_shell
  check rooms check_rooms
  check rooms_test tests/scripts/rooms_test.sh
  check keys check_keys
  check spdx check_spdx
  check plan check_table tests/lab/plan.tsv
  check plan_test tests/scripts/plan_test.sh
  check lab_run_test tests/scripts/lab_run_test.sh
}
