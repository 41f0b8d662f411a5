// SPDX-License-Identifier: Apache-2.0
// Internal to this room: one reader per section, each in its own file. A reader names every key of
// its section and leaves unknown ones to TableReader::finish().
#pragma once

#include <optional>
#include <vector>

#include "vmm/config/config.hpp"
#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {

Result<MachineConfig> read_machine(TableReader table);
/// A size as machine.memory has it.
Result<std::uint64_t> read_memory_size(TableReader& table, std::string_view key,
                                       std::uint64_t otherwise);
/// Bytes of "512MiB" or "4GiB"; nothing for what is no size or too much for 64 bits.
std::optional<std::uint64_t> parse_size(std::string_view text);
/// Errors when it is not whole pages of the guest's memory.
Status check_memory_granularity(const TableReader& table, const MachineConfig& machine,
                                std::uint64_t memory);
/// Errors when Linux cannot bind or connect a Unix socket there.
Status check_socket_path(const TableReader& table, std::string_view key, std::string_view path);
/// Of [machine]: errors where the sandbox would not let a card come later.
Status check_free_ports(const TableReader& table, const Config& config);
Result<std::vector<NodeConfig>> read_nodes(const std::vector<TableReader>& entries,
                                           const MachineConfig& machine);
Result<CpuConfig> read_cpu(TableReader table);
Result<BootConfig> read_boot(TableReader table);
Result<std::vector<PciConfig>> read_pci(const std::vector<TableReader>& entries);
/// Of an entry of [[pci]], in pci_match.cpp; empty: it has none.
Result<std::vector<CardPattern>> read_match(TableReader& entry);
/// Of an entry of [[pci]], in pci_opening.cpp.
Result<std::optional<PciBarSize>> read_bar_size(TableReader& entry);
Result<std::string> read_vf_token(TableReader& entry);
/// Of an entry of [[pci]], in pci_scrub.cpp: scrub and what belongs to it.
Status read_scrub(TableReader& entry, PciConfig& pci);
/// Errors where other keys of the entry exclude them.
Status check_opening(const TableReader& entry, const PciConfig& pci);
/// Of an entry of [[pci]], in pci_opening.cpp.
Result<PciWritable> read_writable(TableReader& entry);
/// { COUNT_KEY = …, bandwidth = … }, in throttle_table.cpp; 0: no limit.
struct ThrottleTable {
  std::uint64_t count = 0;
  std::uint64_t bandwidth = 0;
};
Result<ThrottleTable> read_throttle_table(TableReader& entry, std::string_view count_key);
Result<std::vector<DiskConfig>> read_disks(const std::vector<TableReader>& entries);
/// `guest`: its name, which addresses follow from.
Result<std::vector<NetConfig>> read_nets(const std::vector<TableReader>& entries,
                                         std::string_view guest);
/// Nothing where the section is not there.
Result<std::optional<VsockConfig>> read_vsock(TableReader table, bool is_there);
Result<std::vector<ShareConfig>> read_shares(const std::vector<TableReader>& entries);
Result<std::vector<FwCfgConfig>> read_fw_cfg(const std::vector<TableReader>& entries);
Result<std::vector<CredentialConfig>> read_credentials(TableReader table);
/// In first_boot_section.cpp.
Result<CloudInitConfig> read_cloud_init(TableReader table);
/// The root's own key. Nothing: absent.
Result<std::optional<SshKeyConfig>> read_ssh_key(TableReader& root);
Result<ConsoleConfig> read_console(TableReader table);
Result<ControlConfig> read_control(TableReader table);
Result<TestConfig> read_test(TableReader table);
/// A time as "1h 30min", from a second to a week, or "off", which is 0.
Result<std::chrono::seconds> read_limit(TableReader& table, std::string_view key,
                                        std::chrono::seconds otherwise);
/// Errors where its channels need another section, or that has what they make.
Status check_channels(const TableReader& table, const Config& config);
Result<SystemdConfig> read_systemd(TableReader table);
/// Errors when the guest has no way to say that it is ready, and is waited for. `table`: [systemd].
Status check_ready(const TableReader& table, const Config& config);
Result<SandboxConfig> read_sandbox(TableReader table);

}  // namespace gpuvm::config
