#include "dialects/zone/zone.h"

#include "semdns/format/classes.h"
#include "semdns/format/features.h"
#include "semdns/format/keywords.h"
#include "semdns/format/zones.h"

#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wshadow" // in what TableGen writes
#include "dialects/zone/zone_dialect.cpp.inc"
#include "dialects/zone/zone_enums.cpp.inc"

#define GET_OP_CLASSES
#include "dialects/zone/zone_ops.cpp.inc"
#pragma clang diagnostic pop

using namespace mlir;

namespace semdns::zone {

void ZoneDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/zone/zone_ops.cpp.inc"
      >();
}

namespace {

constexpr uint32_t kFullQ16 = 65536;
constexpr uint32_t kMaxTtl = 86400;
constexpr size_t kMaxLabel = 63, kMaxName = 255;

/// Fails unless lo <= value <= hi; attributes hold the formats' unsigned numbers.
LogicalResult inRange(Operation *op, StringRef what, uint32_t value, uint32_t lo, uint32_t hi) {
  if (value >= lo && value <= hi)
    return success();
  return op->emitOpError() << what << " is " << value << ", must be " << lo << ".." << hi;
}

/// A zone's name relative to its parent, in DNS text form: `\.` and `\032` stand for bytes other
/// than a-z, 0-9, '-' (not at an end) and non-ASCII UTF-8. Sizes count the bytes they stand for.
struct RelativeName {
  SmallVector<size_t> sizes; ///< of each label, leaf first
  std::string error;         ///< empty: none
};

RelativeName parseName(StringRef text) {
  RelativeName name;
  size_t size = 0;
  auto finish = [&] {
    if (size == 0 || size > kMaxLabel)
      name.error = "has a part of " + std::to_string(size) + " bytes, must have 1..63";
    name.sizes.push_back(size);
    size = 0;
  };
  for (size_t i = 0; i < text.size() && name.error.empty(); ++i) {
    char c = text[i];
    bool atEnd = size == 0 || i + 1 == text.size() || text[i + 1] == '.';
    if (c == '.') {
      finish();
      continue;
    }
    ++size;
    if (c == '\\') {
      unsigned value = 0;
      StringRef digits = text.substr(i + 1, 3);
      bool number = digits.size() == 3 && llvm::all_of(digits, llvm::isDigit);
      if (number ? digits.getAsInteger(10, value) || value > 255
                 : i + 1 == text.size() || llvm::isDigit(text[i + 1]))
        name.error = "has an escape that is neither \\DDD up to 255 nor \\ and a character";
      i += number ? 3 : 1;
    } else if (c == '-' && atEnd) {
      name.error = "starts or ends with '-'";
    } else if (!(c >= 'a' && c <= 'z') && !llvm::isDigit(c) && c != '-' && !(c & 0x80)) {
      name.error = "has a character that is not a-z, 0-9 or '-' and is not escaped";
    }
  }
  if (name.error.empty())
    finish();
  return name;
}

/// What a walk over the tree in preorder must see ascending.
struct Numbering {
  uint32_t zoneCount;
  int64_t lastIndex = -1;
  uint32_t nextClass = 0;
};

LogicalResult checkSubtree(ZoneOp zone, Numbering &numbering, uint32_t depth, size_t nameSize) {
  if (depth > SEMDNS_MAX_DEPTH)
    return zone.emitOpError() << "lies " << depth << " labels below the root, the limit is "
                              << SEMDNS_MAX_DEPTH;
  if (nameSize > kMaxName)
    return zone.emitOpError() << "has a name of " << nameSize << " bytes, the limit is "
                              << kMaxName;
  if (zone.number() >= numbering.zoneCount)
    return zone.emitOpError() << "index " << zone.number() << " is not below the hierarchy's "
                              << numbering.zoneCount << " zones";
  if (zone.number() <= numbering.lastIndex)
    return zone.emitOpError() << "index " << zone.number() << " does not ascend in preorder (after "
                              << numbering.lastIndex << ")";
  numbering.lastIndex = zone.number();
  if (auto own = zone.getClassId()) {
    if (*own != numbering.nextClass)
      return zone.emitOpError() << "class " << *own << " breaks the preorder numbering, expected "
                                << numbering.nextClass;
    ++numbering.nextClass;
  }
  llvm::StringSet<> labels;
  for (ZoneOp child : zone.getBody().getOps<ZoneOp>()) {
    if (!labels.insert(child.getLabel()).second)
      return child.emitOpError() << "label '" << child.getLabel()
                                 << "' occurs twice among siblings";
    RelativeName name = parseName(child.getLabel());
    size_t childSize = nameSize;
    for (size_t size : name.sizes)
      childSize += size + 1;
    if (failed(checkSubtree(child, numbering, depth + static_cast<uint32_t>(name.sizes.size()),
                            childSize)))
      return failure();
  }
  return success();
}

template <typename Op> LogicalResult atMostOne(HierarchyOp hierarchy) {
  auto ops = hierarchy.getBody().getOps<Op>();
  auto it = ops.begin();
  if (it != ops.end() && ++it != ops.end())
    return (*it).emitOpError() << "occurs twice in one hierarchy";
  return success();
}

} // namespace

//===----------------------------------------------------------------------------------------===//
// HierarchyOp
//===----------------------------------------------------------------------------------------===//

ZoneOp HierarchyOp::root() {
  auto zones = getBody().getOps<ZoneOp>();
  return zones.empty() ? ZoneOp() : *zones.begin();
}

LogicalResult HierarchyOp::verifyRegions() {
  if (failed(inRange(*this, "zones", getZoneCount(), 1, SEMDNS_MAX_ZONES)))
    return failure();
  for (Operation &op : getBody().getOps())
    if (!isa<EngineOp, ZoneOp, FeaturesOp, ClassifierOp, AcceptanceOp>(op))
      return op.emitOpError() << "does not belong into zone.hierarchy";
  if (failed(atMostOne<FeaturesOp>(*this)) || failed(atMostOne<ClassifierOp>(*this)) ||
      failed(atMostOne<AcceptanceOp>(*this)))
    return failure();
  auto zones = getBody().getOps<ZoneOp>();
  if (!llvm::hasSingleElement(zones))
    return emitOpError() << "needs exactly one root zone";
  ZoneOp top = root();
  if (!top.isRoot() || top.number() != 0)
    return top.emitOpError() << "is the root: its label must be \"\", its index 0";
  Numbering numbering{getZoneCount()};
  if (failed(checkSubtree(top, numbering, 0, 1)))
    return failure();
  uint32_t classes = 0;
  for (ClassifierOp classifier : getBody().getOps<ClassifierOp>())
    classes = classifier.getClasses();
  if (classes != numbering.nextClass)
    return emitOpError() << "has " << numbering.nextClass
                         << " zones with a class, but a classifier of " << classes << " classes";
  auto features = getBody().getOps<FeaturesOp>();
  if (classes != 0 && (features.empty() || (*features.begin()).getDim() == 0))
    return emitOpError() << "has classes but no zone.features with a dimension for them";
  bool hasKeywords = false;
  top.walk([&](ZoneOp zone) { hasKeywords |= zone.hasKeywords(); });
  auto acceptance = getBody().getOps<AcceptanceOp>();
  if (hasKeywords != (!acceptance.empty() && (*acceptance.begin()).getTerms() != 0))
    return emitOpError() << "must have a zone.acceptance with terms if, and only if, zones have "
                            "keywords";
  return success();
}

//===----------------------------------------------------------------------------------------===//
// Members
//===----------------------------------------------------------------------------------------===//

LogicalResult EngineOp::verify() {
  if (static_cast<int64_t>(getMaxContext()) < 0 || getMaxContext() > UINT32_MAX)
    return emitOpError() << "context must be 0..4294967295 tokens";
  return success();
}

bool ZoneOp::hasKeywords() {
  return !getBody().getOps<KeywordOp>().empty() || !getBody().getOps<TermsOp>().empty();
}

LogicalResult ZoneOp::verify() {
  bool nested = isa<ZoneOp>((*this)->getParentOp());
  if (nested) {
    RelativeName name = parseName(getLabel());
    if (!name.error.empty())
      return emitOpError() << "label '" << getLabel() << "' " << name.error;
  }
  for (Operation &op : getBody().getOps())
    if (!isa<ZoneOp, KeywordOp, TermsOp>(op))
      return op.emitOpError() << "does not belong into zone.zone";
  if (failed(inRange(*this, "ttl", getTtl(), 0, kMaxTtl)))
    return failure();
  if (getClassId() && failed(inRange(*this, "class", *getClassId(), 0, SEMDNS_MAX_CLASSES - 1)))
    return failure();
  size_t weights = getWeights() ? getWeights()->size() : 0;
  if (engineCount() != weights)
    return emitOpError() << "has " << engineCount() << " engines but " << weights << " weights";
  for (size_t i = 0; i < weights; ++i)
    if ((*getWeights())[i] < 1)
      return emitOpError() << "has an engine of weight " << (*getWeights())[i]
                           << ", must be at least 1";
  if (!nested && hasKeywords())
    return emitOpError() << "is the root: it cannot have keywords";
  return success();
}

LogicalResult ZoneOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto hierarchy = (*this)->getParentOfType<HierarchyOp>();
  if (!getEngines())
    return success();
  for (Attribute engine : getEnginesAttr()) {
    auto name = cast<FlatSymbolRefAttr>(engine);
    if (!symbols.lookupSymbolIn<EngineOp>(hierarchy, name.getAttr()))
      return emitOpError() << "names the engine " << name << ", which the hierarchy does not have";
  }
  return success();
}

LogicalResult KeywordOp::verify() {
  if (getText().empty())
    return emitOpError() << "has no text";
  return inRange(*this, "weight", getWeight(), 1, SEMDNS_MAX_TERM_WEIGHT);
}

LogicalResult TermsOp::verify() { return inRange(*this, "count", getCount(), 1, SEMDNS_MAX_TERMS); }

LogicalResult FeaturesOp::verify() {
  if (getDim() > SEMDNS_MAX_DIM || getDim() % SEMDNS_DIM_ALIGN != 0)
    return emitOpError() << "dim is " << getDim() << ", must be a multiple of " << SEMDNS_DIM_ALIGN
                         << " up to " << SEMDNS_MAX_DIM;
  if (failed(inRange(*this, "rows", getRows(), 1, SEMDNS_MAX_ROWS)) ||
      failed(inRange(*this, "buckets", getBuckets(), 1, SEMDNS_MAX_ROWS)) ||
      failed(inRange(*this, "word_ngrams", getWordNgramMax(), 1, 3)) ||
      failed(inRange(*this, "unknown_norm", getUnknownNorm(), 0, 65535)))
    return failure();
  uint32_t lo = getCharNgramMin(), hi = getCharNgramMax();
  if ((lo != 0 || hi != 0) && (lo < 2 || hi < lo || hi > 6))
    return emitOpError() << "char_ngrams are " << lo << " to " << hi
                         << ", must be 0 to 0 or within 2 to 6";
  return success();
}

LogicalResult ClassifierOp::verify() {
  if (failed(inRange(*this, "classes", getClasses(), 1, SEMDNS_MAX_CLASSES)) ||
      failed(inRange(*this, "gain", getGain(), 1, 1u << 24)))
    return failure();
  if (getLayout() != 1 && getLayout() != 2 && getLayout() != 4)
    return emitOpError() << "layout is " << getLayout() << ", must be 1, 2 or 4";
  bool beam = getWidth().has_value();
  if (beam != getSpread().has_value() || beam != getEntries().has_value() ||
      beam != getNodes().has_value() || beam != getLevels().has_value() ||
      beam != getRoom().has_value())
    return emitOpError() << "has a part of a beam: all of it or nothing";
  if (beam && getLayout() != 1)
    return emitOpError() << "layout is " << getLayout() << ", must be 1 with a beam";
  if (!beam && getClasses() > SEMDNS_MAX_FLAT_CLASSES)
    return emitOpError() << "classes is " << getClasses() << ", must be 1.."
                         << SEMDNS_MAX_FLAT_CLASSES << " without a beam";
  return success();
}

LogicalResult AcceptanceOp::verify() {
  if (getVotes() && failed(inRange(*this, "votes", *getVotes(), 1, SEMDNS_NEVER - 1)))
    return failure();
  if (failed(inRange(*this, "terms", getTerms(), 0, SEMDNS_MAX_TERMS)) ||
      failed(inRange(*this, "purity", getPurity(), 0, kFullQ16)))
    return failure();
  return inRange(*this, "confidence", getConfidence(), 0, kFullQ16);
}

} // namespace semdns::zone
