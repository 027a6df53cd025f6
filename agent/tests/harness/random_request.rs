//! Random requests of every API and version, written from the same shapes the walker follows.

use agent::dispatch::Api;
use agent::wire_shape::{Kind, Shape};
use rand::Rng;
use rand::rngs::StdRng;

/// Tags that no request knows.
const UNKNOWN_TAGS: std::ops::Range<u32> = 1000..1_000_000;

/// A frame without its length: header with a client id, body.
pub(crate) fn random_frame(api: &Api, version: i16, rng: &mut StdRng) -> Vec<u8> {
    let mut writer = Writer {
        version,
        flexible: false,
        out: Vec::new(),
        rng,
    };
    writer.out.extend((api.key as i16).to_be_bytes());
    writer.out.extend(version.to_be_bytes());
    writer.out.extend([0, 0, 0, 1]);
    writer.value(&Kind::Text);
    writer.flexible = api.is_flexible(version);
    writer.shape(&Shape {
        fields: &[],
        tagged: &[],
    });
    writer.shape(api.shape.body);
    writer.out
}

/// A body alone.
pub(crate) fn random_body(api: &Api, version: i16, rng: &mut StdRng) -> Vec<u8> {
    let flexible = api.is_flexible(version);
    let mut writer = Writer {
        version,
        flexible,
        out: Vec::new(),
        rng,
    };
    writer.shape(api.shape.body);
    writer.out
}

struct Writer<'a> {
    version: i16,
    flexible: bool,
    out: Vec<u8>,
    rng: &'a mut StdRng,
}

impl Writer<'_> {
    fn shape(&mut self, shape: &Shape) {
        for field in shape.fields {
            if (field.since..=field.until).contains(&self.version) {
                self.value(&field.kind);
            }
        }
        if self.flexible {
            self.tagged(shape);
        }
    }

    fn value(&mut self, kind: &Kind) {
        match kind {
            Kind::Fixed(bytes) => self.bytes(*bytes),
            Kind::Text => {
                let length = self.rng.random_range(0..20);
                self.length(length, 2);
                let text = (0..length).map(|_| self.rng.random_range(b'a'..=b'z'));
                self.out.extend(text);
            }
            Kind::Blob => {
                let length = self.rng.random_range(0..300);
                self.length(length, 4);
                self.bytes(length);
            }
            Kind::Array(element) => {
                let count = self.rng.random_range(0..4);
                self.length(count, 4);
                (0..count).for_each(|_| self.value(element));
            }
            Kind::Struct(shape) => self.shape(shape),
            Kind::MaybeStruct(shape) => {
                let is_there = self.rng.random();
                self.out.push(if is_there { 1 } else { 0xff });
                if is_there {
                    self.shape(shape);
                }
            }
        }
    }

    fn tagged(&mut self, shape: &Shape) {
        let known = shape.tagged.iter().filter(|field| field.since <= self.version);
        let known: Vec<_> = known.filter(|_| self.rng.random()).collect();
        let unknown = self.rng.random_range(0..2);
        self.varint(known.len() + unknown);
        for field in known {
            let mut content = Writer {
                out: Vec::new(),
                rng: self.rng,
                ..*self
            };
            content.value(&field.kind);
            let content = content.out;
            self.tag(field.tag, &content);
        }
        for _ in 0..unknown {
            let tag = self.rng.random_range(UNKNOWN_TAGS);
            let content: [u8; 5] = self.rng.random();
            self.tag(tag, &content);
        }
    }

    fn tag(&mut self, tag: u32, content: &[u8]) {
        self.varint(tag as usize);
        self.varint(content.len());
        self.out.extend(content);
    }

    fn bytes(&mut self, count: usize) {
        let bytes = (0..count).map(|_| self.rng.random::<u8>());
        self.out.extend(bytes);
    }

    fn length(&mut self, length: usize, fixed_bytes: usize) {
        if self.flexible {
            self.varint(length + 1);
        } else {
            let length = u32::try_from(length).unwrap().to_be_bytes();
            self.out.extend(&length[4 - fixed_bytes..]);
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
