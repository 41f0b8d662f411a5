#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shows JUnit files to xmllint, which knows the form from junit.xsd: of each recorded console, of hostile ones, with each verdict; and
# to a reader that adds up the counts. That the schema refuses what is wrong is tried, too.
#   junit_test.sh EMITTER SOURCE_DIR
# Exit status 77 (skipped): xmllint is not installed.
set -euo pipefail
emitter=$1 source_dir=$2
command -v xmllint >/dev/null || { echo "xmllint not found: install libxml2-utils"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }
schema=$source_dir/tests/golden/junit/junit.xsd

judge() { xmllint --noout --nonet --schema "$schema" "$1" 2>"$work/judge"; }

# xpath FILE EXPRESSION
xpath() { xmllint --nonet --xpath "$2" "$1"; }

head -c 200000 /dev/urandom >"$work/noise"
{ printf 'TAP version 13\n'; tr '\0-\37' '\n' </dev/urandom | head -c 100000 | sed 's/^/not ok 1 /'; } >"$work/noisy-names" || true
: >"$work/empty"
count=0
for console in "$source_dir"/tests/fixtures/test_output/*.txt "$source_dir"/tests/fuzz/corpus/console_cases/* "$work"/{noise,noisy-names,empty}; do
  for outcome in {0..7}; do
    "$emitter" "$console" "$outcome" "$work/junit.xml" || fail "emitter: $console"
    judge "$work/junit.xml" || { cat "$work/judge"; fail "schema: $console, outcome $outcome"; }
    count=$((count + 1))
  done
  for what in failure:failures error:errors; do
    [[ $(xpath "$work/junit.xml" "count(//${what%:*})") == $(xpath "$work/junit.xml" "string(/testsuites/@${what#*:})") ]] \
      || fail "number of ${what#*:}: $console"
  done
  [[ $(xpath "$work/junit.xml" 'count(//testcase)') == $(xpath "$work/junit.xml" 'string(/testsuites/@tests)') ]] || fail "tests: $console"
  [[ $(xpath "$work/junit.xml" 'count(//testcase)') == $(xpath "$work/junit.xml" 'sum(//testsuite/@tests)') ]] || fail "sum: $console"
done

"$emitter" "$source_dir/tests/fixtures/test_output/kselftest.txt" 4 "$work/junit.xml"
[[ $(xpath "$work/junit.xml" 'string(//testsuite[@name="net/tls"]/testcase[2]/failure/@type)') == failed ]] || fail "the failed case of tls"
[[ $(xpath "$work/junit.xml" 'string(//property[@name="reset.0"]/@value)') == 'stop: 0000:01:00.0 by FLR: verified, 131 ms' ]] || fail "reset"
[[ $(xpath "$work/junit.xml" 'string(//testsuite[1]/testcase/@name)') == 'make check && echo "done"' ]] || fail "the job's own case"

# A schema that accepts all is no judge.
for wrong in 's/ tests="1"/ tests="-1"/' 's/<failure /<fault /; s/<.failure>/<\/fault>/' 's/time="61.234"/time="a minute"/' 's/ classname="gpuvm.ci-1"//' \
  's/name="net.tls"/name="net"/'; do
  sed "$wrong" "$work/junit.xml" >"$work/wrong.xml"
  ! cmp -s "$work/junit.xml" "$work/wrong.xml" || fail "$wrong changes nothing"
  ! judge "$work/wrong.xml" || fail "the schema accepts $wrong"
done
echo "ok: $count files"
