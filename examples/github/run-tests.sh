#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In the guest: any program will do, and its exit status counts. One that prints TAP gets a test case for each of its results.
echo 'TAP version 13'
echo '1..2'
if [ -e /dev/dri/renderD128 ]; then echo 'ok 1 - the driver has the card'; else echo 'not ok 1 - the driver has the card'; fi
if dmesg | grep -q 'ring .* timeout'; then echo 'not ok 2 - no ring has hung'; else echo 'ok 2 - no ring has hung'; fi
[ -e /dev/dri/renderD128 ]
