# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The static checks: what needs no built program. Sourced by scripts/test.

check_format() {
  git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run -Werror
}

check_shell() {
  git ls-files -z scripts tests .ci | xargs -0 grep -lzE '^#!/bin/(ba)?sh' | tr -d '\0' | sort -u | xargs shellcheck -x
}

# <linux/kvm.h>, <linux/vfio.h> and Asio have one room each.
check_rooms() {
  ! git grep -nE '#include <linux/kvm\.h>' -- '*.cpp' '*.hpp' ':!vmm/kvm' ':!tests/kvm' \
    && ! git grep -nE '#include <linux/vfio\.h>' -- '*.cpp' '*.hpp' ':!devices/passthrough/vfio' ':!tests/unit/devices/passthrough/vfio' \
    && ! git grep -nE '#include <boost/asio\.hpp>' -- '*.cpp' '*.hpp' ':!vmm/base/asio.hpp'
}

check_spdx() {
  ! git ls-files '*.cpp' '*.hpp' '*.sh' '*.cmake' 'CMakeLists.txt' 'scripts/*' | xargs grep -L 'SPDX-License-Identifier: Apache-2.0' | grep .
}

run_static_checks() {
  begin_cost 'static checks'
  stage "format, shell and house rules"
  check format check_format
  check shellcheck check_shell
  check rooms check_rooms
  check spdx check_spdx
  check plan check_table tests/lab/plan.tsv
  check plan_test tests/scripts/plan_test.sh
  check lab_run_test tests/scripts/lab_run_test.sh
}
