#include "wire/chunk.h"

#include <stdbool.h>

/* Which bits of the hash must be zero for a cut. More of them before the average size, fewer after it: sizes gather around the average. The upper
 * bits, since they depend on the whole window (the last 64 bytes). */
#define MASK_EARLY 0xffff800000000000U /* 17 bits */
#define MASK_LATE 0xfff8000000000000U  /* 13 bits */

/* 256 values of splitmix64 (Steele, Lea, Flood 2014) from the seed "skiff"; test-wire pins the cuts. */
static const uint64_t gear[256] = {
	0x0230573cfa2d466cU, 0xb0255729125403b4U, 0x4b46267987346070U, 0xcd7d207d0fa28dc9U, 0xbda7afa48c22dac2U,
	0xc1ea435088b61ec4U, 0x3a51e418481e323aU, 0x1e795ed46b8e5558U, 0x3b948554ee81a99eU, 0x84de6c9a3a04173fU,
	0xe4ae0b9eaf5856e5U, 0x84fe54f7ac03c7c4U, 0x5a33981cff1cd809U, 0xb0f8655072a1fb75U, 0x85d2eb79c0f7fc8dU,
	0xb2e6cff5c17c6e47U, 0xe46bd620a3a777a6U, 0x148aeae9bec25a97U, 0xde1a69e1cf74f5f1U, 0x44123d69c4114d11U,
	0x126dbcb0563a2825U, 0x7cc6db8aa850954bU, 0xc6a5ad68481db4eeU, 0xcd42ae670c869567U, 0xafa09ac4078f703eU,
	0xe8d61d7c28aa0ebfU, 0x368a4b641487383dU, 0xc414d1a30dce4fb6U, 0x14a9a60753667e84U, 0x6847f4b21dba0285U,
	0x7f96d73e2dd4b3f6U, 0x2bba488c5e810dceU, 0xf44ca0adb1f372d9U, 0x8217c0866335ec23U, 0x4d6cc9ff9f64f280U,
	0x5be88f7d1c918d6fU, 0x1d7bed2af087a77bU, 0xb94c1db86e271c77U, 0x0c559e63d897e352U, 0xd1fec38a34e56430U,
	0x1215ddd444c1e3c4U, 0x7b170f3eb71b988cU, 0x3ea2ff0e7a75bc36U, 0x589fcc60984f9508U, 0x4c102d993f85323aU,
	0x29d8fff22a2e8598U, 0x77b104bb8b9d0f08U, 0xd950202b6a81fd5dU, 0xecc12ca5a3a8a436U, 0xfe870a68d36621daU,
	0x047f831c60c4a5a8U, 0x303931150456b1f5U, 0x056be6b7f483130cU, 0x3f1c36e51ced7311U, 0xe899df2a6860496dU,
	0xd7337d96f9e39e7bU, 0xc9a1aed553b431d3U, 0x9056343ebddca8c0U, 0x47ea57255e2bbf45U, 0xfbef8f65c0c35be4U,
	0x4a9e93e84e73aa5bU, 0xb2b500de235b13c7U, 0x9a8f637b764fbfacU, 0x5f500500b43803f1U, 0x19de309e19e489dcU,
	0x7a065c98df8cc025U, 0x40ba16e09ae77d3aU, 0xa01c1f3b6c10b4a8U, 0x1318a0f56631f754U, 0x74179873a2612132U,
	0x16b29722e9d98679U, 0x939dd7d1a4681d4fU, 0x76de64cb8fa5c2bfU, 0x3ad867976fd5a9f9U, 0xeead155d8a33f53eU,
	0x3f09f61bcdcfa5aeU, 0x4043c22b57194cc3U, 0x62fcc818e95865c7U, 0x8b1d0d9b7bc82665U, 0xa0f58304008b1a4bU,
	0xe49ebeeac4ea0e07U, 0xdf613f5c25157781U, 0x2ce36d176698ad8eU, 0x7188e31e829dd9e3U, 0xf01168ae8ed576fdU,
	0xceab8405e14a995cU, 0x4281c5b8c0c3ae80U, 0xc25771980a33fe99U, 0x600c0edd7753ada2U, 0x65b0621fe4931dcaU,
	0x0bae0ad21c128208U, 0x1ec36f31cb214926U, 0xe711798df75e1702U, 0x26114dbc8b69ee19U, 0x173fd95d8757ae9fU,
	0xd79a14c5abc0cd87U, 0xd21a3bc78bc21e33U, 0xc445599f8f04c2c5U, 0x2b5666459aeda5f1U, 0xd9b44ba3e4f8c380U,
	0xe0e5f54bb46a763bU, 0x27800dd1b8d413e7U, 0x13eced97ca7a8364U, 0xb010768607c21b33U, 0x244e131da47eb634U,
	0x9605f97b42adc0daU, 0x2a3475e2f2f04815U, 0xe78934cd1f266c94U, 0xd4273640d7d4d777U, 0x7b8cc21054679a1eU,
	0x0b6dd63b7063f3d2U, 0x04ba380f4972c0b9U, 0x5068255e3d20a128U, 0xe24afedab5c5d987U, 0xac2a5391c57e21e5U,
	0x017abcc6b584ce44U, 0xee878418ca6ee4e3U, 0xc3cf0e8a0d192a75U, 0x3036b58ed6a99a91U, 0xece5cfbd4f71ea51U,
	0xeecf1d91498d69cdU, 0xd85eb145c3ecc057U, 0xf57ea33b7bc6169aU, 0x6e5c2aa844ec759cU, 0xb3cd968ce311664bU,
	0xab42a8e11f3b2334U, 0x30eab18bb3659db0U, 0x7a1e76c9f584649dU, 0xadf7d979cc44a343U, 0x71c8d56127c41364U,
	0xb96dc99cc195c081U, 0xae3d653ca5aba4a3U, 0xd894e1a2383707cfU, 0xc79928d9a119ea90U, 0xcb4cff5ccc965593U,
	0xbe7ba3a9cd177b32U, 0x8ca17f09bbfdc09eU, 0xa20af9cf9c6b8fb4U, 0x123e6266d087375eU, 0x98a4292e397b6c17U,
	0x137b307b8f6b3225U, 0xc04793f099304284U, 0x5994e41717bcf975U, 0x0250055acd5c4debU, 0x53adebaaa6ec0d25U,
	0x4aeaf88ab3d205f2U, 0xc769345eaa2bae10U, 0x9478ef98161df0e2U, 0xcebf8b4af4933accU, 0xea16106b5ebebe3aU,
	0xc7b261bda4265facU, 0x020998fe23422f6dU, 0xe911e7ba7d38f683U, 0x15c7b7d454eafa40U, 0x038deed47ec4882dU,
	0x4f2cb1c9e51ab50dU, 0xef788cb133805818U, 0x519308be1a2afc47U, 0x2451a6921636dd95U, 0xf6eda7bd46618d6fU,
	0x475a504043b556f2U, 0x0b0b5ddfc3986ed9U, 0x4d2623ed1ba7259fU, 0xb0997b2f2da6fdf6U, 0x2ec9a1c834c11c7bU,
	0xcfc38fce8e43d592U, 0x9351e0f0d47ca43eU, 0x4f5820b15b784342U, 0xfbee89f034492aefU, 0x47d899d3be53ad86U,
	0x21109f8faf3d6c8fU, 0xb64e77535c326772U, 0x069781ddd6b819f6U, 0x86fcdce2ec75ac2fU, 0x64d07185e519d170U,
	0x9f36570f3c814346U, 0x81157d77f748866eU, 0x64f4f0a5cc9c5d67U, 0xe6143d9c59ff4a57U, 0x7d65ed7654403371U,
	0xeabc7824c71b8f70U, 0xf1e7333093068e1eU, 0x286a5af6418cfdcaU, 0x9358e7eea07bb5aaU, 0x88c2b64173c44a09U,
	0xb86aba9261c5398dU, 0x46d49c3c46cc63ffU, 0xf97c2f6da7764516U, 0xf6ca994a2e0e63acU, 0xa76ea49a2bd14d3fU,
	0x207e08fff7661948U, 0x92e3a49ff77672c5U, 0x7cd41dd747d30961U, 0xff000602c4e6eb5cU, 0x95713eddc85c741dU,
	0xc7464e405f001037U, 0x66c2df5775cfb568U, 0x051371453b3a5b7cU, 0x0ae8dbaa44e557bfU, 0x1a4d085e0533a2c7U,
	0x02f6e3b3c3636fa7U, 0x03c40c170fdc0a4aU, 0x18da251b05fd2f43U, 0x661033405b5b0d04U, 0x904f208782dfa539U,
	0x2696683f8eee5317U, 0x18889d507c3c5fd3U, 0x05992bed8e096042U, 0x242ec1b961ccdad4U, 0x86035e36521be542U,
	0xca590499fa2f2cdbU, 0x354a44b513eb9f35U, 0xbad7aa95d659b96aU, 0xdf59fd8929307623U, 0x7dc8de7785a24ab3U,
	0xd7c33eaa9d65da62U, 0x9be8f98721bfc2f3U, 0xcaffb99d859d6ec3U, 0xadedc5c7f0ea30ffU, 0xb1bdc189513e7b35U,
	0x5ca6a30f40dfb304U, 0xa3ae141cd0ffcd3fU, 0xf6458e24fbbf9ebdU, 0x02525e2bbf21c51fU, 0xeb0d56d06a557501U,
	0x59556b477f2fd4e6U, 0xdd680bd817351eddU, 0x6d5bc3307a8af98bU, 0xa4374ce90638cbcdU, 0x6be1484992003adcU,
	0x8eb7e50e0c09da42U, 0x23acfaca41fed267U, 0xe7e027962bb1ef1bU, 0xd811d7849206cde2U, 0x45b50ec6b84fac47U,
	0xb85e7dea70be784dU, 0x39df6e8a093f9839U, 0x47bc2352583f72b6U, 0x69f3a5552e1b4f01U, 0x353c0669cc65dd77U,
	0x123ba9f773b1a004U, 0x459b1061d591b0b3U, 0xcafb1a26cf7b18bcU, 0xe8d3bcbd18bcddb3U, 0xe12ded6d723d9618U,
	0x2000ae9ad12d33abU, 0xb765235e6c4a4086U, 0x96bc0513f02bc60eU, 0x88cfe7ba7e375c55U, 0x78757ed810ddf1b7U,
	0x20efd7bff3744420U, 0xfb157500f9f35a07U, 0xc1f1bb0272c171abU, 0x0b6123e7a0a90338U, 0x8b11068628520243U,
	0x642953fc9b596fb1U,
};

static inline bool cuts_after(unsigned char byte, uint64_t mask, uint64_t *hash)
{
	*hash = (*hash << 1) + gear[byte];
	return (*hash & mask) == 0;
}

static size_t look_for_cut(const unsigned char *bytes, size_t at, size_t end, uint64_t mask, uint64_t *hash)
{
	/* Eight bytes a turn: to count and to jump at each takes longer than the hash. Which of them cuts is found below. */
	for (; end - at >= 8; at += 8) {
		const unsigned char *b = bytes + at;
		uint64_t h = *hash;
		if (cuts_after(b[0], mask, &h) || cuts_after(b[1], mask, &h) || cuts_after(b[2], mask, &h) ||
		    cuts_after(b[3], mask, &h) || cuts_after(b[4], mask, &h) || cuts_after(b[5], mask, &h) ||
		    cuts_after(b[6], mask, &h) || cuts_after(b[7], mask, &h))
			break;
		*hash = h;
	}
	for (; at < end; at++)
		if (cuts_after(bytes[at], mask, hash))
			return at + 1;
	return 0;
}

size_t chunk_cut(const void *bytes, size_t len)
{
	uint64_t hash = 0;
	if (len <= CHUNK_MIN)
		return len;
	size_t end = len < CHUNK_MAX ? len : CHUNK_MAX;
	size_t middle = end < CHUNK_AVERAGE ? end : CHUNK_AVERAGE;
	size_t cut = look_for_cut(bytes, CHUNK_MIN, middle, MASK_EARLY, &hash);
	if (!cut)
		cut = look_for_cut(bytes, middle, end, MASK_LATE, &hash);
	return cut ? cut : end;
}
