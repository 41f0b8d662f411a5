// SPDX-License-Identifier: Apache-2.0
// Whole guests of tests/fixtures/convert, each against tests/golden/convert/NAME.toml, which gpuvm
// takes. After an intended change: GPUVM_UPDATE_GOLDEN=1 rewrites them; read the difference.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/fixtures/source_file.hpp"
#include "tests/unit/vmm/convert/convert_test_support.hpp"

namespace gpuvm::golden_test {
namespace {

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Guest {
  const char* file;
  std::size_t functions;  ///< sections of [[pci]]
};

/// "[[pci]].host" for each key of a text in its order, and "[[pci]]" for each section;
/// `has_comments`: also where they are comments.
std::vector<std::string> keys_in(const std::string& text, bool has_comments) {
  std::vector<std::string> keys;
  std::istringstream lines(text);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    line.erase(0, has_comments && line.starts_with("# ") ? 2 : 0);
    const auto equal = line.find(" = ");
    const bool is_key = equal != std::string::npos &&
                        line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == equal;
    if (line.starts_with('[') && line.ends_with(']')) {
      section = line;
      keys.push_back(section);
    } else if (is_key) {
      keys.push_back(section + "." + line.substr(0, equal));
    }
  }
  return keys;
}

class GoldenGuest : public testing::TestWithParam<Guest> {};

TEST_P(GoldenGuest, IsAsItWas) {
  const std::string file = GetParam().file;
  const auto guest = convert_guest(file_text(test::source_file("tests/fixtures/convert/" + file)),
                                   {file, ForeignText::kAuto});
  ASSERT_TRUE(guest) << guest.error().to_string();
  EXPECT_TRUE(guest->is_valid);
  const std::string path = test::source_file("tests/golden/convert/" +
                                             std::filesystem::path(file).stem().string() + ".toml");
  if (std::getenv("GPUVM_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path) << guest->toml;
  }
  EXPECT_EQ(guest->toml, file_text(path));
  const auto config = load_config(path);
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->pci.size(), GetParam().functions);
  EXPECT_THAT(guest->toml, testing::Not(testing::HasSubstr("gpuvm refuses")));
}

TEST_P(GoldenGuest, HasTheOrderOfTheReference) {
  const std::string file = GetParam().file;
  const auto order = keys_in(file_text(test::source_file("configs/reference.toml")), true);
  const auto guest = convert_guest(file_text(test::source_file("tests/fixtures/convert/" + file)),
                                   {file, ForeignText::kAuto});
  ASSERT_TRUE(guest) << guest.error().to_string();
  std::ptrdiff_t section_at = -1;
  std::ptrdiff_t key_at = -1;
  for (const auto& key : keys_in(guest->toml, false)) {
    const auto found = std::find(order.begin(), order.end(), key);
    const bool is_section = key.ends_with(']');
    if (found == order.end()) {
      EXPECT_TRUE(key.starts_with("[credentials].")) << key;
      continue;
    }
    EXPECT_GE(found - order.begin(), is_section ? section_at : key_at) << key;
    section_at = is_section ? found - order.begin() : section_at;
    key_at = is_section ? -1 : found - order.begin();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Guests, GoldenGuest,
    testing::Values(Guest{"rocm-rx480.sh", 1}, Guest{"gvtd.sh", 1}, Guest{"sm2262.xml", 1},
                    Guest{"clique-pair.sh", 2}, Guest{"two-gpus.xml", 2}, Guest{"render.xml", 2},
                    Guest{"many-things.xml", 4}, Guest{"script.sh", 2}, Guest{"single-gpu.xml", 1},
                    Guest{"looking-glass.xml", 1}, Guest{"hgx.xml", 3},
                    Guest{"virt-install.xml", 1}, Guest{"grace.xml", 1}, Guest{"gvtg.xml", 0},
                    Guest{"forum-post.md", 1}, Guest{"proxmox-blockdev.sh", 1},
                    Guest{"proxmox-drive.sh", 1}, Guest{"quickemu.sh", 0},
                    Guest{"hackintosh.sh", 0}, Guest{"optimus.sh", 1}, Guest{"libvirt-log.sh", 1},
                    Guest{"vfio-user.sh", 3}, Guest{"torture.sh", 1}, Guest{"unit.service", 2},
                    Guest{"other-machine.sh", 0}),
    [](const auto& info) {
      std::string name = std::filesystem::path(info.param.file).stem();
      std::erase(name, '-');
      return name;
    });

}  // namespace
}  // namespace gpuvm::golden_test
