// Verifies what a countermark log hands out, with Go's own transparency-log code and nothing of countermark:
// checkpoints with sumdb/note, entries, proofs and tiles with sumdb/tlog.
//
//	verify_log CASE.json
//
// Everything that the case holds must verify, and must stop verifying when any one bit of it is flipped. What was done
// is printed as JSON; the exit code is 1, with a sentence, where something does not behave.
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/ioutil"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// logCase is what the test hands over: two checkpoints, the proof between them, receipts, and a folder of tiles.
type logCase struct {
	Key         string    `json:"key"`
	Old         string    `json:"old"`
	New         string    `json:"new"`
	Consistency []string  `json:"consistency"`
	Receipts    []receipt `json:"receipts"`
	Tiles       string    `json:"tiles"`
}

type receipt struct {
	Entry string `json:"entry"`
	Proof string `json:"proof"`
}

type summary struct {
	OldSize   int64 `json:"old_size"`
	NewSize   int64 `json:"new_size"`
	Receipts  int   `json:"receipts"`
	TilesRead int   `json:"tiles_read"`
	Flips     int   `json:"flips_refused"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify_log CASE.json")
		os.Exit(2)
	}
	done, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = json.NewEncoder(os.Stdout).Encode(done)
}

func run(path string) (summary, error) {
	var given logCase
	var done summary
	content, err := ioutil.ReadFile(path)
	if err != nil {
		return done, err
	}
	if err := json.Unmarshal(content, &given); err != nil {
		return done, err
	}
	older, err := openCheckpoint(given.Old, given.Key)
	if err != nil {
		return done, fmt.Errorf("old checkpoint: %v", err)
	}
	newer, err := openCheckpoint(given.New, given.Key)
	if err != nil {
		return done, fmt.Errorf("new checkpoint: %v", err)
	}
	done.OldSize, done.NewSize = older.N, newer.N
	flips := &flipper{}
	checkNotes(given, flips)
	if err := checkConsistency(given.Consistency, older, newer, flips); err != nil {
		return done, fmt.Errorf("consistency: %v", err)
	}
	for _, one := range given.Receipts {
		if err := checkReceipt(one, given.Key, flips); err != nil {
			return done, fmt.Errorf("receipt: %v", err)
		}
		done.Receipts++
	}
	done.TilesRead, err = checkTiles(given, older, newer, flips)
	if err != nil {
		return done, fmt.Errorf("tiles: %v", err)
	}
	done.Flips = flips.refused
	return done, flips.err
}

// flipper counts the one-bit changes that were refused and remembers the first that was not.
type flipper struct {
	refused int
	err     error
}

// every flips each bit of data in turn, and puts it back, expecting accepts to say no.
func (f *flipper) every(what string, data []byte, accepts func() bool) {
	for bit := 0; bit < 8*len(data); bit++ {
		data[bit/8] ^= 1 << (bit % 8)
		if accepts() {
			if f.err == nil {
				f.err = fmt.Errorf("%s verifies although bit %d was flipped", what, bit)
			}
		} else {
			f.refused++
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

// openCheckpoint verifies a signed note and reads the C2SP tlog-checkpoint in it.
func openCheckpoint(text, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of the log whose key was given")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

// checkNotes flips the bits of the newer checkpoint's text and signature, decoded: base64 has bits that mean nothing.
func checkNotes(given logCase, flips *flipper) {
	cut := strings.LastIndex(given.New, "\n\n") + 1
	text := []byte(given.New[:cut])
	fields := strings.Split(strings.TrimSuffix(given.New[cut+1:], "\n"), " ")
	signature, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		flips.err = err
		return
	}
	accepts := func() bool {
		line := fields[0] + " " + fields[1] + " " + base64.StdEncoding.EncodeToString(signature) + "\n"
		_, err := openCheckpoint(string(text)+"\n"+line, given.Key)
		return err == nil
	}
	if !accepts() {
		flips.err = errors.New("a checkpoint put together again does not verify")
		return
	}
	flips.every("the checkpoint's text", text, accepts)
	flips.every("the checkpoint's signature", signature, accepts)
}

func checkConsistency(encoded []string, older, newer tlog.Tree, flips *flipper) error {
	proof, err := parseHashes(encoded)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash); err != nil {
		return err
	}
	accepts := func() bool { return tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash) == nil }
	for i := range proof {
		flips.every("the consistency proof", proof[i][:], accepts)
	}
	flips.every("the old root", older.Hash[:], accepts)
	flips.every("the new root", newer.Hash[:], accepts)
	return nil
}

// checkReceipt verifies a C2SP tlog-proof of an entry, down to the checkpoint in it.
func checkReceipt(one receipt, key string, flips *flipper) error {
	parts := strings.SplitN(one.Proof, "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(parts[1], key)
	if err != nil {
		return err
	}
	proof, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	entry := []byte(one.Entry)
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
		return err
	}
	accepts := func() bool { return tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)) == nil }
	flips.every("an entry", entry, accepts)
	for i := range proof {
		flips.every("an inclusion proof", proof[i][:], accepts)
	}
	for other := int64(0); other < tree.N; other++ {
		if other != index && tlog.CheckRecord(proof, tree.N, tree.Hash, other, tlog.RecordHash(entry)) == nil {
			return fmt.Errorf("entry %d verifies as entry %d too", index, other)
		}
	}
	return nil
}

// tileFolder serves the tiles of C2SP tlog-tiles from files, one of them altered where flip says so.
type tileFolder struct {
	folder string
	read   map[string]bool
	flip   func(path string, data []byte)
}

func (t *tileFolder) Height() int { return 8 }

func (t *tileFolder) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tileFolder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	contents := make([][]byte, 0, len(tiles))
	for _, tile := range tiles {
		// Go puts the height, always 8, into the path; C2SP does not.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := ioutil.ReadFile(filepath.Join(t.folder, filepath.FromSlash(path)))
		if err != nil {
			return nil, err
		}
		t.read[path] = true
		if t.flip != nil {
			t.flip(path, data)
		}
		contents = append(contents, data)
	}
	return contents, nil
}

// checkTiles proves everything from the tiles alone: each entry's hash, and that the newer tree extends the older one.
func checkTiles(given logCase, older, newer tlog.Tree, flips *flipper) (int, error) {
	folder := &tileFolder{folder: given.Tiles, read: map[string]bool{}}
	if err := proveFromTiles(given, older, newer, folder); err != nil {
		return 0, err
	}
	for path := range folder.read {
		info, err := os.Stat(filepath.Join(given.Tiles, path))
		if err != nil {
			return 0, err
		}
		for _, at := range []int64{0, info.Size() / 2, info.Size() - 1} {
			altered := &tileFolder{folder: given.Tiles, read: map[string]bool{}}
			altered.flip = func(name string, data []byte) {
				if name == path {
					data[at] ^= 1
				}
			}
			if proveFromTiles(given, older, newer, altered) == nil {
				return 0, fmt.Errorf("%s verifies although a bit of byte %d was flipped", path, at)
			}
			flips.refused++
		}
	}
	return len(folder.read), nil
}

func proveFromTiles(given logCase, older, newer tlog.Tree, folder *tileFolder) error {
	hashes := tlog.TileHashReader(newer, folder) // authenticates each tile against the newer root
	proof, err := tlog.ProveTree(newer.N, older.N, hashes)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash); err != nil {
		return err
	}
	for i, hash := range proof {
		if i >= len(given.Consistency) || hash.String() != given.Consistency[i] {
			return errors.New("the proof from tiles is not the one that the log gave")
		}
	}
	for index := int64(0); index < newer.N; index += 97 {
		stored, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			return err
		}
		path, err := tlog.ProveRecord(newer.N, index, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckRecord(path, newer.N, newer.Hash, index, stored[0]); err != nil {
			return err
		}
	}
	return nil
}

func parseHashes(encoded []string) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, 0, len(encoded))
	for _, text := range encoded {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}
