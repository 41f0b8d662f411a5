// SPDX-License-Identifier: Apache-2.0
// Values of other programs, and sizes in other units: what the refusal says to write.
#include <algorithm>
#include <set>
#include <utility>

#include "tests/unit/vmm/config/config_test_support.hpp"
#include "vmm/config/foreign_names.hpp"

namespace gpuvm::foreign_values_test {
namespace {

/// What follows the place in the message on the value.
std::string advice(const std::string& text) {
  const auto result = parse_bootable(text);
  if (result) {
    return "no error";
  }
  const auto message = result.error().to_string();
  return message.substr(message.find(')') + 1);
}

TEST(ForeignValues, NetworksOfLibvirtAndQemu) {
  EXPECT_EQ(advice("[[net]]\nmode = 'bridge'"),
            "; mode = \"tap\" with bridge = \"NAME\" joins a bridge of the host");
  EXPECT_EQ(advice("[[net]]\nmode = 'NAT'"),
            "; mode = \"user\" is a network behind the host's addresses, by passt");
  EXPECT_EQ(advice("[[net]]\nmode = 'none'"), "; a guest without a network has no [[net]]");
  EXPECT_EQ(advice("[[net]]\nmode = 'cow'"), "");
}

TEST(ForeignValues, ResetsOfTheKernel) {
  EXPECT_EQ(advice("[[pci]]\nhost = '01:00.0'\nreset = 'bus'"), "; that is \"hot\" here");
  EXPECT_EQ(advice("[[pci]]\nhost = '01:00.0'\nreset = 'flr'"), "; that is \"function\" here");
  EXPECT_EQ(advice("[[pci]]\nhost = '01:00.0'\nreset = 'AF-FLR'"), "; that is \"function\" here");
}

TEST(ForeignValues, DisksAndConsoles) {
  EXPECT_EQ(advice("[[disk]]\ndiscard = 'unmap'"), "; that is true here");
  EXPECT_EQ(advice("[[disk]]\ncache = 'directsync'").find("; each flush of the guest reaches"), 0U);
  EXPECT_EQ(advice("[[disk]]\nformat = 'iso'"), "; that is \"raw\" here, with readonly = true");
  EXPECT_EQ(advice("console.serial = ['unix:/run/x.sock']"), "; that is \"socket:PATH\" here");
  EXPECT_EQ(advice("console.virtio = ['null']"), "; [\"off\"] leads nowhere");
  EXPECT_EQ(advice("console.serial = 'none'"), "; [\"off\"] leads nowhere");
  EXPECT_EQ(advice("console.serial = 'mon:stdio'"),
            "; that is \"stdio\" here; there is no monitor");
  expect_error_contains(parse_bootable("console.serial = ['off', 'pty']"),
                        "console.serial has \"off\" beside other places: it stands alone");
}

TEST(ForeignValues, OverridesHaveItToo) {
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'", {"pci.0.reset=bus"}),
                        "(--set pci.0.reset=bus); that is \"hot\" here");
}

TEST(ForeignValues, SizesInOtherUnits) {
  const std::pair<const char*, const char*> rows[] = {
      {"4096", "4096MiB"}, {"'4096'", "4096MiB"},     {"'4GB'", "4GiB"},
      {"'4 gib'", "4GiB"}, {"16", "16GiB"},           {"'4g'", "4GiB"},
      {"'1TB'", "1TiB"},   {"4294967296", "4096MiB"}, {"'512mb'", "512MiB"},
  };
  for (const auto& [value, size] : rows) {
    EXPECT_EQ(advice(std::string("machine.memory = ") + value),
              "; did you mean \"" + std::string(size) + "\"?")
        << value;
  }
  for (const char* value : {"'many'", "'4QiB'", "0", "-4096", "'1.5GiB'", "''", "true",
                            "4294967297", "'99999999999999999999999'", "'17TiB'", "'127MiB'"}) {
    EXPECT_EQ(advice(std::string("machine.memory = ") + value), "") << value;
  }
}

// A row on a word that the key takes, or of a key that there is not, would never be seen.
TEST(ForeignValues, RowsAreThereOnceAndAreReached) {
  const auto keys = config_keys();
  std::set<std::pair<std::string_view, std::string_view>> rows;
  for (const auto& row : config::foreign_values()) {
    EXPECT_NE(std::find(keys.begin(), keys.end(), row.key), keys.end()) << row.key;
    EXPECT_TRUE(rows.emplace(row.key, row.value).second) << row.value;
    EXPECT_EQ(config::value_advice(row.key, row.value), "; " + std::string(row.advice));
    EXPECT_FALSE(row.source.empty()) << row.value;
    const auto dot = row.key.find('.');
    const std::string section(row.key.substr(0, dot));
    const bool is_list = section == "net" || section == "pci" || section == "disk";
    const auto value = (section == "console" ? "['" : "'") + std::string(row.value) +
                       (section == "console" ? "']" : "'");
    const auto text = (is_list ? "[[" + section + "]]\n" : "[" + section + "]\n") +
                      (section == "pci" && row.key != "pci.host" ? "host = '01:00.0'\n" : "") +
                      (section == "boot" ? "kernel = '/k'\n" : "") +
                      std::string(row.key.substr(dot + 1)) + " = " + value;
    const auto result = section == "boot" ? parse(text) : parse_bootable(text);
    ASSERT_FALSE(result) << row.key << " takes " << row.value;
    EXPECT_NE(result.error().to_string().find(row.advice), std::string::npos)
        << result.error().to_string();
  }
}

}  // namespace
}  // namespace gpuvm::foreign_values_test
