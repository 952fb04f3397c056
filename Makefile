# The targets that people and CI use. `make run` needs only Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export UADBENCH_HOME ?= $(CURDIR)/workspace
DATA ?= ../shared/data
# anomalib's models are for those who have anomalib: pip install ./plugins/anomalib
PLUGINS := $(filter-out plugins/anomalib/%,$(wildcard plugins/*/pyproject.toml))
PLUGIN_FOLDERS := $(addprefix ./,$(PLUGINS:/pyproject.toml=))
INSTALLED := $(VENV)/.installed
DEVELOPED := $(VENV)/.developed

# What `make boards` and `make latents` run; METHODS="a b" instead of every installed method.
METHODS ?=
DEVICE ?= cpu
SEEDS ?= 0,1,2
LATENTS ?= 1 2 4 8 16 32 64 128
BOARDS ?= brain-phantom-v1:$(SEEDS) brain-flair-lgg-v1:0 chest-xray-nih-v1:0
MORE_BOARDS ?= brain-mri-br35h-v1:0
README ?= README.md
BENCHMARKS ?= tests/benchmarks
STUDY ?= plugins/autoencoders/README.md
REVERSING ?= plugins/phanes/README.md
CHOSEN := $(addprefix --method ,$(METHODS))

.PHONY: run test lint install develop data boards latents reversing numbers picture clean

run: install            ## install, make the phantom, run every installed method, write the board
	$(BIN)/uadbench data make brain-phantom-v1
	$(BIN)/uadbench run --all

test: develop           ## every test that needs neither a GPU nor the network; two workers, so one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: develop           ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

install: $(INSTALLED)
develop: $(DEVELOPED)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml constraints.txt $(PLUGINS) | $(VENV)/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[phantom,import,latency]' $(addprefix --editable ,$(PLUGIN_FOLDERS))
	touch $@

$(DEVELOPED): $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test,lint,perceptual]'
	touch $@

data: install           ## the three real datasets, from the packs in DATA
	$(BIN)/uadbench data import manifest $(DATA)/lgg_flair/lgg_flair.zip --name brain-flair-lgg-v1 \
	  --where "brain_frac>0.2 and (label==1 or dist_to_lesion>=2)" --divide-by vol_p99 --size 128 --foreground otsu \
	  --modality "MR FLAIR" --anatomy brain \
	  --licence "Not stated in the source repository; the TCIA originals (TCGA-LGG) have their own terms. Non-commercial research use only; do not redistribute." \
	  --citation "Buda et al. 2019; Mazurowski et al. 2017 (LGG segmentation of TCGA-LGG, The Cancer Imaging Archive)."
	$(BIN)/uadbench data import manifest $(DATA)/cxr_nih/cxr_nih.zip --name chest-xray-nih-v1 --size 128 --foreground all \
	  --modality "X-ray" --anatomy chest \
	  --licence "Not stated in the source repositories; internal research use only." \
	  --citation "Wang et al. 2017 (NIH ChestX-ray14); Ozturk et al. 2020 (selection)."
	$(BIN)/uadbench data import manifest $(DATA)/brain_mri_br35h/brain_mri_br35h.zip --name brain-mri-br35h-v1 --size 128 --foreground otsu \
	  --modality "MR, mixed sequences" --anatomy brain \
	  --licence "Not stated in any of the three source repositories, web-collected images; internal research use only." \
	  --citation "Br35H (tumours); Nickparvar and SARTAJ collections (no tumour); no paper is stated in the source repositories." \
	  --note "No patient ids; a subject is a group of near-duplicates." --allow-leak

boards: install         ## every method on every dataset of the workspace, then the boards in README.md
	failed=0; for board in $(BOARDS) $(MORE_BOARDS); do name=$${board%%:*}; \
	  test -f $(UADBENCH_HOME)/data/$$name.images.h5 || { echo "$$name is not in the workspace, so it is left out. See make data."; continue; }; \
	  $(BIN)/uadbench run $(or $(CHOSEN),--all) --dataset $$name --seeds $${board#*:} --device $(DEVICE) || failed=1; done; exit $$failed
	$(BIN)/python leaderboard/readme.py $(README) $(BOARDS) $(CHOSEN) --device $(DEVICE)

latents: install        ## ae-latent with latents of 1 to 128 numbers, then table and figure in plugins/autoencoders
	failed=0; for name in brain-mri-br35h-v1 chest-xray-nih-v1; do for latent in $(LATENTS); do \
	  $(BIN)/uadbench run --method ae-latent --set ae-latent.latent=$$latent --dataset $$name --seeds $(SEEDS) --device $(DEVICE) \
	  || failed=1; done; done; exit $$failed
	$(BIN)/python plugins/autoencoders/studies/latents.py $(STUDY) --latents "$(LATENTS)" --seeds $(SEEDS) --device $(DEVICE)

reversing: install      ## pseudo-healthy methods on synthetic anomalies, then tables and picture in plugins/phanes
	$(BIN)/uadbench data make brain-phantom-v1
	$(BIN)/uadbench data make synthetic-ra-phantom-v1
	$(BIN)/uadbench run --dataset synthetic-ra-phantom-v1 --seeds $(SEEDS) --device $(DEVICE) \
	  $(addprefix --method ,ae-spatial vae dae si-vae ra phanes)
	$(BIN)/python plugins/phanes/studies/reversing.py $(REVERSING) --seeds $(SEEDS) --device $(DEVICE)

numbers: develop        ## measure, then write the numbers into README.md and CONTRIBUTING.md; BENCHMARKS=file for one of them
	mkdir -p $(UADBENCH_HOME)
	$(BIN)/python -m pytest $(BENCHMARKS) --benchmark-only --benchmark-json $(UADBENCH_HOME)/benchmarks.json
	$(BIN)/python tests/benchmarks/readme.py $(UADBENCH_HOME)/benchmarks.json README.md
	$(BIN)/python tests/benchmarks/storage.py $(UADBENCH_HOME)/benchmarks.json CONTRIBUTING.md

picture:                ## the picture of the board in README.md (needs Chromium)
	chromium --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1280,1180 \
	  --user-data-dir=$$(mktemp -d) --screenshot=$(CURDIR)/leaderboard/board.png file://$(UADBENCH_HOME)/boards/brain-phantom-v1.html

clean:                  ## remove what the targets made, but no run and no data
	rm -rf .pytest_cache .mypy_cache .ruff_cache build dist
