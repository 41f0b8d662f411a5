// SPDX-License-Identifier: Apache-2.0
// Config: what a guest's TOML file says, checked and with plain values, one struct per section.
// configs/reference.toml explains every key to users; gpuvm.toml(5) is its manual page. Whether the
// host can do what is asked (features, devices, files) is checked by the rooms that need it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/mac_address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"
#include "vmm/config/card_pattern.hpp"
#include "vmm/config/control_config.hpp"
#include "vmm/config/machine_config.hpp"
#include "vmm/config/sandbox_config.hpp"
#include "vmm/config/serial_target.hpp"
#include "vmm/config/systemd_config.hpp"
#include "vmm/config/test_config.hpp"
#include "vmm/config/throttle_config.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// Where something stands in the configuration, for messages. It makes no difference to what is
/// configured.
struct ConfigPlace {
  std::string text = {};  ///< "pci.0 (guest.toml:3:1)"; empty: no file says it
  bool operator==(const ConfigPlace&) const { return true; }
  std::string or_else(std::string_view name) const {
    return text.empty() ? std::string(name) : text;
  }
};

struct CpuConfig {
  std::vector<std::string> hide;  ///< feature names as in /proc/cpuinfo; only their form is checked
  bool hide_hypervisor = false;   ///< no KVM leaves, no hypervisor bit
  std::string hyperv_vendor_id;   ///< up to 12 characters; empty: Microsoft's where hyperv is not
  std::vector<std::string> hyperv;  ///< enlightenments of Hyper-V; only their form is checked
  bool operator==(const CpuConfig&) const = default;
};

enum class BootMode {
  kLinux,        ///< Linux's 64-bit entry, without firmware
  kEfiHandover,  ///< the kernel's EFI stub, on gpuvm's own small EFI firmware
  kUefi,         ///< a UEFI firmware image (OVMF), which starts a disk or the kernel
};

/// Who unpacks the kernel of a bzImage.
enum class Unpacker {
  kGuest,  ///< the kernel itself
  kHost,   ///< gpuvm, which then also chooses its addresses
};

/// As boot.mode spells it.
std::string_view to_string(BootMode mode);

struct BootConfig {
  BootMode mode = BootMode::kLinux;
  std::string kernel;  ///< absolute; empty only with kUefi, which then boots from a disk
  std::optional<std::string> initrd;  ///< absolute
  std::string cmdline;
  Unpacker decompress = Unpacker::kGuest;  ///< kHost only with kLinux
  std::optional<std::string> vars;         ///< absolute; EFI variables; not with kLinux
  // Only with kUefi, which always has firmware and vars; absolute.
  std::optional<std::string> firmware;       ///< the code's flash image
  std::optional<std::string> vars_template;  ///< what vars starts as when it is absent
  std::optional<std::string> firmware_log;   ///< gets what the firmware says on its debug port
  bool operator==(const BootConfig&) const = default;
};

/// How a device is reset, whatever the policy table says (docs/reset.md).
enum class ResetChoice {
  kAuto,      ///< as the policy table says
  kHot,       ///< the bus of its slot, with all functions there
  kFunction,  ///< each function by itself
  kNone,      ///< never: made quiet and checked only
};

enum class PciRomMode {
  kAuto,  ///< the device's own, or what the host has of it
  kOff,   ///< no ROM BAR
  kFile,
};

/// Of the function that PciConfig::host names; kOff concerns all functions of the slot.
struct PciRomConfig {
  PciRomMode mode = PciRomMode::kAuto;
  std::string path;     ///< absolute, of kFile
  bool strict = false;  ///< a ROM that does not fit the function is refused, not corrected
  bool operator==(const PciRomConfig&) const = default;
};

/// Whether ACPI hands out the option ROM of the function that PciConfig::host names.
enum class PciAcpiRomMode {
  kAuto,  ///< for GPUs without a screen, whose drivers look there
  kOn,
  kOff,
};

/// Where the guest sees the MSI-X table of the function that PciConfig::host names.
enum class PciMsixRelocation {
  kOff,   ///< where the hardware has it
  kAuto,  ///< elsewhere if other registers may share its pages
  kBar0,  ///< in this BAR, and so on
  kBar1,
  kBar2,
  kBar3,
  kBar4,
  kBar5,
};

/// Ids that the guest sees in place of those of the function that PciConfig::host names.
struct PciIdentityConfig {
  std::optional<std::uint16_t> vendor_id = {};
  std::optional<std::uint16_t> device_id = {};
  std::optional<std::uint16_t> sub_vendor_id = {};
  std::optional<std::uint16_t> sub_device_id = {};
  std::optional<std::uint32_t> class_code = {};  ///< 24 bits
  bool operator==(const PciIdentityConfig&) const = default;
};

/// Memory of a function that the guest's CPUs reach like RAM: one of its BARs, which then is no
/// BAR, or a region that is none.
struct PciCoherentMemory {
  std::optional<unsigned> bar = {};  ///< 0 to 5; this or region
  std::string region = {};           ///< name of a device-specific region; only its form is checked
  bool at_host_address = false;      ///< of a BAR: the guest has it where the host has it
  bool operator==(const PciCoherentMemory&) const = default;
};

/// The size that a BAR of the function that PciConfig::host names gets before the start.
struct PciBarSize {
  std::optional<std::uint8_t> bar = {};  ///< 0 to 5; nothing: the one that can become largest
  std::uint64_t size = 0;  ///< bytes, a power of two, 1 MiB to 128 TiB; 0: the largest there is
  bool operator==(const PciBarSize&) const = default;
};

/// Root ports that a guest can have.
constexpr std::size_t kRootPorts = 32;

/// Capabilities of a function whose registers the guest may write.
struct PciWritable {
  bool vpd = false;    ///< Vital Product Data, which the card keeps
  bool dvsec = false;  ///< Designated Vendor-Specific
  bool doe = false;    ///< Data Object Exchange, which is hidden otherwise
  bool operator==(const PciWritable&) const = default;
};

/// One slot of the host whose functions the guest gets, or a function of a vfio-user server.
struct PciConfig {
  Bdf host;  ///< its primary function; meaningless with socket, and with match until a card is
             ///< taken
  /// Cards of the host of which one that is free becomes `host` (vmm/cards); empty: host or socket
  /// names the device.
  std::vector<CardPattern> match = {};
  std::vector<std::uint8_t> functions;  ///< 0 to 7, ascending, with that of host; empty: all
  bool managed = true;                  ///< bind to vfio-pci before the run and give back after it
  /// Root port, below kRootPorts; slots may share one. Nothing: as port_assignment.hpp says.
  std::optional<std::uint8_t> port = {};
  ResetChoice reset = ResetChoice::kAuto;
  std::optional<std::uint32_t>
      reset_wait;           ///< ms to rest after a reset, at most 60000; the policy's
  std::string socket = {};  ///< absolute; of a vfio-user server; empty: the host has the slot
  PciRomConfig rom = {};
  PciAcpiRomMode acpi_rom = PciAcpiRomMode::kAuto;
  PciIdentityConfig identity = {};
  std::optional<std::uint8_t> gpudirect_clique = {};  ///< 0 to 15
  std::optional<PciCoherentMemory> coherent_memory = {};
  bool p2p = false;                      ///< other devices of the guest may reach its BARs by DMA
  std::vector<std::string> quirks = {};  ///< names; only their form is checked
  PciWritable writable = {};
  PciMsixRelocation msix_relocation = PciMsixRelocation::kOff;
  std::optional<PciBarSize> resize_bar = {};  ///< only with managed; nothing: as the host has it
  std::string vf_token = {};        ///< UUID in small letters, of the function that host names
  PciScrub scrub = PciScrub::kOff;  ///< of the function that host names or socket leads to
  std::vector<std::uint8_t> scrub_bars = {};  ///< 0 to 5, ascending; empty: the largest one
  std::chrono::seconds scrub_limit{600};      ///< 1 s to 15 min
  ConfigPlace place = {};
  /// The section names a slot of the host, and which is known.
  bool has_host() const { return socket.empty() && match.empty(); }
  bool operator==(const PciConfig&) const = default;
};

/// A NUMA node of the guest.
struct NodeConfig {
  std::vector<unsigned> cpus;  ///< vCPUs, ascending; each vCPU is in one node
  std::uint64_t memory =
      0;  ///< bytes, not 0, whole 2 MiB (or huge pages); all add up to the guest's
  std::optional<unsigned> host_node = {};  ///< whose memory it gets; the GPU's
  bool operator==(const NodeConfig&) const = default;
};

/// What the bytes of a disk's file are. Told by the user, never guessed: a guest that writes
/// another format's header to its raw disk would choose what the host opens.
enum class DiskFormat { kRaw, kQcow2, kVmdk, kVdi, kVhdx };

/// How the host's page cache is used.
enum class DiskCache {
  kWriteback,  ///< through it; a flush reaches the storage
  kNone,       ///< past it (O_DIRECT) where it can be; a flush reaches the storage
  kUnsafe,     ///< through it, and flushes are only answered: what the host loses is lost
};

/// A disk of the guest: an image file or a block device of the host.
struct DiskConfig {
  std::string path;  ///< absolute
  DiskFormat format = DiskFormat::kRaw;
  bool read_only = false;
  /// Writes are gone afterwards, and path stays as it is; not read_only, and kRaw or kQcow2 only.
  bool throwaway = false;
  bool boot = false;  ///< firmware starts from it; at most one, and only where there is firmware
  /// At most 20 characters; empty: serial_of() has it. Only of a disk that is not is_served().
  std::string serial = {};
  DiskCache cache = DiskCache::kWriteback;
  bool discard = true;                  ///< what the guest trims is given back to the host
  std::optional<unsigned> queues = {};  ///< 1 to 16; nothing: one for each vCPU, at most 4
  DiskThrottle throttle = {};
  ConfigPlace place = {};
  bool operator==(const DiskConfig&) const = default;
};

/// Whether another program serves it (qemu-storage-daemon), in place of gpuvm itself.
bool is_served(const DiskConfig& disk);

/// What the guest reads as the serial number of the disk with this place in the configuration, if
/// it is not served.
std::string serial_of(const DiskConfig& disk, std::size_t index);

/// Where the frames of a network card go.
enum class NetMode {
  kUser,  ///< to passt, an unprivileged program: the host's own connections
  kTap,   ///< to a tap of the host, and by it to a bridge or whatever the host does with it
};

/// A port of the host that leads to one of the guest.
struct PortForward {
  bool udp = false;          ///< else TCP
  std::string address = {};  ///< of the host, IPv4 or IPv6; empty: all
  std::uint16_t host = 0;
  std::uint16_t guest = 0;
  bool operator==(const PortForward&) const = default;
};

/// A virtio network card of the guest.
struct NetConfig {
  NetMode mode = NetMode::kUser;
  std::string tap = {};        ///< of kTap: made when it is absent; empty: the kernel names it
  std::string bridge = {};     ///< of kTap: the tap that gpuvm makes joins it
  std::optional<int> fd = {};  ///< of kTap, in place of both: a tap that the starter has opened
  std::vector<PortForward> forward = {};  ///< of kUser; no host's port twice
  bool host_loopback = false;             ///< of kUser: by the gateway's address
  std::optional<MacAddress> mac = {};     ///< unicast; nothing: MacAddress::of_name()
  std::optional<std::uint16_t> mtu = {};  ///< 68 to 65535
  /// Pairs, 1 to 8; more than one only with kTap, and neither with fd nor with a throttle.
  std::uint16_t queues = 1;
  NetThrottle throttle = {};
  ConfigPlace place = {};
  bool operator==(const NetConfig&) const = default;
};

/// A virtio socket device of the guest: programs of host and guest talk by it without a network.
struct VsockConfig {
  std::optional<std::uint32_t> cid = {};  ///< 3 to 2^32 - 2; nothing: one that is free
  ConfigPlace place = {};
  bool operator==(const VsockConfig&) const = default;
};

/// A folder of the host that the guest can mount (virtiofs).
struct ShareConfig {
  std::string path;  ///< absolute
  std::string tag;   ///< by which the guest mounts it; 1 to 36 bytes
  bool read_only = false;
  ConfigPlace place = {};
  bool operator==(const ShareConfig&) const = default;
};

/// An item that the guest's firmware and tools can read; only with BootMode::kUefi.
struct FwCfgConfig {
  std::string name;                 ///< "opt/…", unique, at most 55 characters
  std::optional<std::string> text;  ///< this or file
  std::optional<std::string> file;  ///< absolute
  bool operator==(const FwCfgConfig&) const = default;
};

/// A credential for the guest's systemd. It may be a secret: nothing prints the text.
struct CredentialConfig {
  std::string name;                 ///< unique; 1 to 255 characters that systemd takes
  std::optional<std::string> text;  ///< this or file; any bytes
  std::optional<std::string> file;  ///< absolute
  ConfigPlace place = {};
  bool operator==(const CredentialConfig&) const = default;
};

/// Files for cloud-init, which finds them on a small volume that gpuvm makes (its data source
/// NoCloud).
struct CloudInitConfig {
  std::optional<std::string> user_data = {};       ///< absolute, as the others
  std::optional<std::string> meta_data = {};       ///< nothing: gpuvm makes it
  std::optional<std::string> network_config = {};  ///< nothing: cloud-init's own choice, DHCP
  ConfigPlace user_data_place = {};
  ConfigPlace meta_data_place = {};
  ConfigPlace network_config_place = {};
  bool operator==(const CloudInitConfig&) const = default;
};

/// Who may log in to the guest by ssh as root from its first boot on.
struct SshKeyConfig {
  std::string path = {};  ///< absolute, of a public key; empty: a key that gpuvm keeps for the user
  ConfigPlace place = {};
  bool operator==(const SshKeyConfig&) const = default;
};

struct ConsoleConfig {
  std::vector<SerialTarget> serial = {{}};  ///< all of them see the output; empty: off
  std::vector<SerialTarget> virtio = {};    ///< of a virtio console beside it; empty: none
  bool operator==(const ConsoleConfig&) const = default;
};

struct Config {
  std::string name;  ///< [a-z0-9-_.], 1 to 64 characters
  MachineConfig machine;
  CpuConfig cpu;
  BootConfig boot;
  std::vector<PciConfig> pci;     ///< at most 64; no function twice
  std::vector<NodeConfig> nodes;  ///< at most 64; empty: no NUMA
  std::vector<DiskConfig> disks;  ///< at most 8; no path and no serial twice
  std::vector<NetConfig> nets;    ///< at most 4; no tap, MAC address or port twice
  std::optional<VsockConfig> vsock;
  std::vector<ShareConfig> shares;            ///< at most 8; no tag twice
  std::vector<FwCfgConfig> fw_cfg;            ///< at most 32
  std::vector<CredentialConfig> credentials;  ///< at most 64
  std::optional<CloudInitConfig> cloud_init;
  std::optional<SshKeyConfig> ssh_key;
  ConsoleConfig console;
  ControlConfig control;
  TestConfig test;
  SystemdConfig systemd;
  SandboxConfig sandbox = {};
  bool operator==(const Config&) const = default;
};

/// Where a configuration's text comes from.
struct ConfigSource {
  std::string label;         ///< how messages name it: the file as the user gave it
  std::string directory;     ///< absolute; relative paths in the text start here
  std::string default_name;  ///< of the guest, when the text has none
};

/// Reads a file of at most 1 MiB and applies overrides, each "dotted.key=value" as given to --set
/// (a TOML value, or a bare string; "pci.0.managed" is a key of the first [[pci]]; an index one
/// past the last adds an entry). Errors: kConfig, one line, with file:line:column or the override;
/// kUsage for an override that has no "key=". Any thread.
Result<Config> load_config(const std::string& file, std::span<const std::string> overrides = {});

/// As load_config(), from memory.
Result<Config> parse_config(std::string_view text, const ConfigSource& source,
                            std::span<const std::string> overrides = {});

/// Every key with its value, as TOML that parses to the same Config, but for the texts of
/// credentials: a comment is in their place.
std::string to_toml(const Config& config);

/// All keys there are, "machine.cpus", sorted. Those of a list's entries have no index: "pci.host".
/// The names in [credentials] are the user's, and not among them.
std::vector<std::string> config_keys();

}  // namespace gpuvm
