// SPDX-License-Identifier: Apache-2.0
// Rendering a Config and parsing it again changes nothing.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::to_toml_test {
namespace {

TEST(ToToml, ParsesToTheSame) {
  const auto config = parse(R"(
boot = { kernel = '/k "x" \y', initrd = 'é', cmdline = 'a="b c" \n' }
cpu = { hide = ["a", "b"], hide_hypervisor = true, hyperv_vendor_id = 'say "hello"', hyperv = ["time"] }
machine = { cpus = 3, memory = "1026MiB", hugepages = "2MiB", on_reboot = "exit", reboot_backoff = "1min 30s", config_ports = "on", pin_memory = "background", battery = true, rng = false, reserve = "64GiB", pin = [7, 0, 2] }
console.serial = ["file:a b", "socket:c", "pty"]
disk = [ { path = '/a "b"' }, { path = "c", readonly = true }, { path = "d", format = "qcow2", throwaway = true, cache = "unsafe", discard = false, queues = 3, throttle = { iops = 7, bandwidth = "3GiB" } }, { path = "e", format = "vhdx" }, { path = "f", serial = "s" } ]
console.virtio = ["stdio", "pty"]
systemd = { ready = "guest", machined = "off" }
sandbox = { mode = "log", user = "nobody", group = "nogroup", helper_user = "daemon", log = "/var/log/calls" }
vsock.cid = 4294967294
share = [ { path = "a b", tag = "A-1_b.c" }, { path = "/", tag = "root", readonly = true } ]
test = { exit_port = true, pvpanic = true, command = 'make "a b"', timeout = "1h 30min", first_console_timeout = "2d", console_timeout = "off", success_pattern = '^ok "\d+"$', failure_pattern = ["BUG", "Oops"], retries = 3, reboots = 2, status_port = true, vsock_status = true, notify = true, result_file = 'A-1_b.c:a/b c:d', artifact_share = "A-1_b.c" }
[[pci]]
host = "01:00.0"
functions = [0, 2]
port = 1
resize_bar = "max"
reset = "hot"
reset_wait = 0
[[pci]]
host = "02:00.0"
managed = false
rom = "vbios.rom"
rom_check = "strict"
resize_bar = "keep"
acpi_rom = "on"
vendor_id = 0x1234
sub_device_id = 1
class = 0x030200
[[pci]]
host = "03:00.0"
rom = "off"
gpudirect_clique = 15
coherent_memory = { bar = 4 }
p2p = true
quirks = ["nvidia-mirror", "ati-window"]
writable = ["doe", "vpd"]
msix_relocation = "auto"
resize_bar = { bar = 1, size = "32GiB" }
vf_token = "14d63f20-8445-11ea-8900-1f9ce7d5650d"
scrub = "vram"
scrub_bars = [3, 1]
scrub_limit = "1min 30s"
[[pci]]
match = ["10DE:2204", "class:0302", "1002:*"]
functions = [0]
managed = false
[[pci]]
match = "any-gpu"
[[node]]
cpus = [2, 0]
memory = "898MiB"
host_node = 1
[[node]]
cpus = [1]
memory = "128MiB"
[[net]]
forward = ["tcp:2222:22", "udp:::1/53:5353", "tcp:127.0.0.1/80:8080"]
host_loopback = true
mac = "52-54-00-AB-cd-01"
throttle = { packets = 3, bandwidth = "5MiB" }
[[net]]
mode = "tap"
tap = "vm-1"
[[net]]
mode = "tap"
bridge = "br0"
mtu = 9000
queues = 4
[[net]]
mode = "tap"
fd = 9
[[pci]]
socket = "a b.sock"
port = 2
reset = "function"
rom = "c.rom"
rom_check = "strict"
acpi_rom = "off"
device_id = 0x1c82
class = 0x030000
msix_relocation = "bar5"
)");
  ASSERT_TRUE(config) << config.error().to_string();
  const auto again = parse_config(to_toml(*config), {"dry-run", "/elsewhere", "x"});
  ASSERT_TRUE(again) << again.error().to_string() << "\n" << to_toml(*config);
  EXPECT_EQ(*again, *config);
}

}  // namespace
}  // namespace gpuvm::to_toml_test
