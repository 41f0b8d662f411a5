// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/key_forms.hpp"

#include <algorithm>

#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {

void TableReader::note(std::string_view key, KeyForm form) const {
  if (context_->forms == nullptr) {
    return;
  }
  auto& forms = (*context_->forms)[schema_name_of(key)];
  const auto same = std::find_if(forms.begin(), forms.end(), [&form](const KeyForm& each) {
    return each.kind == form.kind && each.words == form.words;
  });
  if (same == forms.end()) {
    forms.push_back(std::move(form));
    return;
  }
  // A range may depend on another key; the widest is the key's own. A rule tells more than none.
  same->least = std::min(same->least, form.least);
  same->most = std::max(same->most, form.most);
  if (same->rule.empty()) {
    same->rule = std::move(form.rule);
  }
}

}  // namespace gpuvm::config
