#include "runtime/dispatch/policy.h"

#include "runtime/dispatch/atomics.h"

#include <string.h>

namespace semdns::dispatch {
namespace {

constexpr size_t align64(size_t n) { return (n + 63) & ~size_t(63); }

/// A power of two with room to spare.
uint32_t slotsFor(uint32_t words) {
  uint32_t slots = 16;
  while (slots < 2 * (words + 1))
    slots *= 2;
  return slots;
}

uint32_t &slotOf(const Policy &policy, uint32_t parent, uint64_t word) {
  const uint32_t mask = policy.slotCount - 1;
  for (auto at = static_cast<uint32_t>(mix(word + parent));; ++at) {
    uint32_t &slot = policy.slots[at & mask];
    if (!slot || (policy.states[slot].word == word && policy.states[slot].parent == parent))
      return slot;
  }
}

/// The state that `word` leads to.
uint32_t follow(const Policy &policy, uint32_t state, uint64_t word) {
  for (;;) {
    if (const uint32_t next = slotOf(policy, state, word))
      return next;
    if (!state)
      return 0;
    state = policy.states[state].fail;
  }
}

} // namespace

size_t policyMemory(uint32_t words) {
  return align64((size_t(words) + 1) * sizeof(PolicyState)) +
         align64(slotsFor(words) * sizeof(uint32_t));
}

void initPolicy(Policy &policy, void *memory, uint32_t words) {
  policy.states = static_cast<PolicyState *>(memory);
  policy.slots = reinterpret_cast<uint32_t *>(static_cast<uint8_t *>(memory) +
                                              align64((size_t(words) + 1) * sizeof(PolicyState)));
  policy.capacity = words;
  policy.slotCount = slotsFor(words);
  clearPolicy(policy);
}

void clearPolicy(Policy &policy) {
  memset(policy.slots, 0, policy.slotCount * sizeof *policy.slots);
  memset(policy.states, 0, sizeof *policy.states);
  policy.used = policy.ruleCount = policy.textRules = policy.beforeRules = policy.afterRules = 0;
}

bool addPattern(Policy &policy, uint32_t rule, const uint64_t *words, uint32_t count) {
  uint32_t state = 0;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t &slot = slotOf(policy, state, words[i]);
    if (!slot) {
      if (policy.used == policy.capacity)
        return false;
      slot = ++policy.used;
      policy.states[slot] = {words[i], state, 0, policy.states[state].depth + 1, 0, {}};
    }
    state = slot;
  }
  policy.states[state].ends.add(rule);
  return true;
}

void finishPolicy(Policy &policy) {
  // By depth, since a state's failure is shallower than it is; one level deep it is the start.
  for (uint32_t depth = 2; depth <= kMaxPatternWords; ++depth)
    for (uint32_t i = 1; i <= policy.used; ++i) {
      PolicyState &state = policy.states[i];
      if (state.depth != depth)
        continue;
      state.fail = follow(policy, policy.states[state.parent].fail, state.word);
      state.ends.add(policy.states[state.fail].ends);
    }
}

bool samePolicy(const Policy &a, const Policy &b) {
  // Rules and states are written whole, padding and all, in the order of the text.
  return a.ruleCount == b.ruleCount && a.used == b.used &&
         !memcmp(a.rules, b.rules, a.ruleCount * sizeof *a.rules) &&
         !memcmp(a.states, b.states, (size_t(a.used) + 1) * sizeof *a.states);
}

void swapPolicies(Policy &a, Policy &b) {
  static_assert(sizeof(PolicyRule) < 512, "copied rule by rule, to spare the stack");
  for (uint32_t i = 0; i < a.ruleCount || i < b.ruleCount; ++i) {
    const PolicyRule rule = a.rules[i];
    a.rules[i] = b.rules[i];
    b.rules[i] = rule;
  }
  constexpr size_t kHead = offsetof(Policy, rules);
  char head[kHead];
  memcpy(head, static_cast<void *>(&a), kHead);
  memcpy(static_cast<void *>(&a), &b, kHead);
  memcpy(static_cast<void *>(&b), head, kHead);
}

void matchWords(const Policy &policy, uint32_t &state, const uint64_t *words, uint32_t count,
                RuleSet &found) {
  for (uint32_t i = 0; i < count; ++i) {
    if (words[i] & 1)
      continue;
    state = follow(policy, state, words[i]);
    found.add(policy.states[state].ends);
  }
}

uint32_t firstRule(const Policy &policy, bool after, const RuleSet &texts, uint64_t scope,
                   const uint64_t *zones, uint32_t zoneCount) {
  for (uint32_t i = 0; i < policy.ruleCount; ++i) {
    const PolicyRule &rule = policy.rules[i];
    if (rule.after != after || (rule.scope && rule.scope != scope) ||
        (rule.hasText && !texts.has(i)))
      continue;
    bool inside = !rule.zone;
    for (uint32_t z = 0; z < zoneCount && !inside; ++z)
      inside = zones[z] == rule.zone;
    if (inside)
      return i;
  }
  return kMaxPolicyRules;
}

} // namespace semdns::dispatch
