// RUN: semdns-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{zones is 0, must be 1..131072}}
zone.hierarchy @h serial 1 zones 0 {
  zone.zone "" index 0 ttl 1 {}
}

// -----

// expected-error @+1 {{needs exactly one root zone}}
zone.hierarchy @h serial 1 zones 1 {
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{is the root: its label must be "", its index 0}}
  zone.zone "" index 1 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{index 2 is not below the hierarchy's 2 zones}}
    zone.zone "a" index 2 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 3 {
  zone.zone "" index 0 ttl 1 {
    zone.zone "b" index 2 ttl 1 {}
    // expected-error @+1 {{index 1 does not ascend in preorder (after 2)}}
    zone.zone "a" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 3 {
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 ttl 1 {}
    // expected-error @+1 {{label 'a' occurs twice among siblings}}
    zone.zone "a" index 2 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{label '-a' starts or ends with '-'}}
    zone.zone "-a" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{label 'A_b' has a character that is not a-z, 0-9 or '-' and is not escaped}}
    zone.zone "A_b" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{label 'a..b' has a part of 0 bytes, must have 1..63}}
    zone.zone "a..b" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{has a part of 64 bytes, must have 1..63}}
    zone.zone "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{lies 17 labels below the root, the limit is 16}}
    zone.zone "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{ttl is 86401, must be 0..86400}}
    zone.zone "a" index 1 ttl 86401 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 3 {
  zone.features dim 16 rows 1 buckets 1 word_ngrams 1 char_ngrams 0 to 0 unknown_norm 0
  zone.classifier 2 layout 1 gain 1
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{class 1 breaks the preorder numbering, expected 0}}
    zone.zone "a" index 1 class 1 ttl 1 {}
    zone.zone "b" index 2 class 0 ttl 1 {}
  }
}

// -----

// expected-error @+1 {{has 1 zones with a class, but a classifier of 2 classes}}
zone.hierarchy @h serial 1 zones 2 {
  zone.classifier 2 layout 1 gain 1
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 class 0 ttl 1 {}
  }
}

// -----

// expected-error @+1 {{has classes but no zone.features with a dimension for them}}
zone.hierarchy @h serial 1 zones 2 {
  zone.classifier 1 layout 1 gain 1
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 class 0 ttl 1 {}
  }
}

// -----

// expected-error @+1 {{must have a zone.acceptance with terms if, and only if, zones have keywords}}
zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 ttl 1 {
      zone.keyword "k" weight 1
    }
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{names the engine @gone, which the hierarchy does not have}}
    zone.zone "a" index 1 ttl 1 engines [@gone] weights [1] {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.engine @e tier domain context 0 cost 0
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{has 1 engines but 2 weights}}
    zone.zone "a" index 1 ttl 1 engines [@e] weights [1, 2] {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.engine @e tier domain context 0 cost 0
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{has an engine of weight 0, must be at least 1}}
    zone.zone "a" index 1 ttl 1 engines [@e] weights [0] {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{context must be 0..4294967295 tokens}}
  zone.engine @e tier domain context -1 cost 0
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{is the root: it cannot have keywords}}
  zone.zone "" index 0 ttl 1 {
    zone.keyword "k" weight 1
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 ttl 1 {
      // expected-error @+1 {{weight is 65536, must be 1..65535}}
      zone.keyword "k" weight 65536
    }
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 ttl 1 {
      // expected-error @+1 {{has no text}}
      zone.keyword "" weight 1
    }
  }
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    zone.zone "a" index 1 ttl 1 {
      // expected-error @+1 {{count is 0, must be 1..1048576}}
      zone.terms 0
    }
  }
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{dim is 24, must be a multiple of 16 up to 1024}}
  zone.features dim 24 rows 1 buckets 1 word_ngrams 1 char_ngrams 0 to 0 unknown_norm 0
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{char_ngrams are 5 to 3, must be 0 to 0 or within 2 to 6}}
  zone.features dim 16 rows 1 buckets 1 word_ngrams 1 char_ngrams 5 to 3 unknown_norm 0
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{classes is 16385, must be 1..16384}}
  zone.classifier 16385 layout 1 gain 1
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{layout is 3, must be 1, 2 or 4}}
  zone.classifier 1 layout 3 gain 1
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{votes is 0, must be 1..4294967294}}
  zone.acceptance terms 1 votes 0 purity 0 confidence 0
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  zone.acceptance terms 0 purity 0 confidence 0
  // expected-error @+1 {{occurs twice in one hierarchy}}
  zone.acceptance terms 0 purity 0 confidence 0
  zone.zone "" index 0 ttl 1 {}
}

// -----

// expected-error @+1 {{expects parent op}}
zone.keyword "k" weight 1

// -----

zone.hierarchy @h serial 1 zones 1 {
  // expected-error @+1 {{does not belong into zone.hierarchy}}
  func.func private @f()
  zone.zone "" index 0 ttl 1 {}
}

// -----

zone.hierarchy @h serial 1 zones 2 {
  zone.zone "" index 0 ttl 1 {
    // expected-error @+1 {{has an escape that is neither}}
    zone.zone "a\\299" index 1 ttl 1 {}
  }
}

// -----

zone.hierarchy @h serial 1 zones 1 {
  zone.features dim 16 rows 1 buckets 1 word_ngrams 1 char_ngrams 0 to 0 unknown_norm 0
  // expected-error @+1 {{layout is 4, must be 1 with a beam}}
  zone.classifier 20 layout 4 gain 1 beam 4 spread 5 entries 48 nodes 3 levels 2 room 16
  zone.zone "" index 0 ttl 1 {}
}
