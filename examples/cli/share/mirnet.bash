# Completion of the program mirnet for bash. tests/cli/test_cli.py compares its options with those of --help.
_mirnet() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} options
  COMPREPLY=()
  case $before in
    --quality) COMPREPLY=($(compgen -W 'standard high' -- "$word")) && return ;;
    --isa) COMPREPLY=($(compgen -W 'avx512bf16 avx512 avx2 sse2 neon scalar' -- "$word")) && return ;;
    --precision) COMPREPLY=($(compgen -W 'auto fp32 bf16' -- "$word")) && return ;;
    --algorithm) COMPREPLY=($(compgen -W 'auto direct' -- "$word")) && return ;;
    --progress) COMPREPLY=($(compgen -W 'auto bar json none' -- "$word")) && return ;;
    --tile) COMPREPLY=($(compgen -W 'auto off 512 1024 2048' -- "$word")) && return ;;
    --depth) COMPREPLY=($(compgen -W '8 16' -- "$word")) && return ;;
    --format)
      local formats='png jpg bmp pgm ppm pnm pam pfm'
      [ "${COMP_WORDS[1]}" = profile ] && formats='table csv json trace html'
      COMPREPLY=($(compgen -W "$formats" -- "$word")) && return
      ;;
    --sort) COMPREPLY=($(compgen -W 'run time op' -- "$word")) && return ;;
    --group) COMPREPLY=($(compgen -W 'layer op block' -- "$word")) && return ;;
    --output-dir) COMPREPLY=($(compgen -d -- "$word")) && return ;;
    --threads | --strength | --keep-grain | --quality-jpeg | --max-memory | --min-psnr | --suffix | --size | --repeat | \
      --warmup | --max-pixels) return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W 'denoise info compare bench profile --help --version --licences --licenses' -- "$word"))
    return
  fi
  case ${COMP_WORDS[1]} in
    denoise)
      options='--quality --weights --strength --keep-grain --quality-jpeg --lossless --lossy --depth --output-dir
        --suffix --format --recursive --skip-existing --overwrite --estimate --max-pixels --no-sandbox --reference
        --min-psnr --max-memory --tile --threads --isa --precision --algorithm --progress --json --quiet --help'
      ;;
    info) options='--quality --size --help' ;;
    bench) options='--threads --size --isa --help' ;;
    profile)
      options='--quality --weights --threads --isa --precision --algorithm --repeat --warmup --sort --group --format
        --baseline --output --overwrite --max-pixels --no-sandbox --help'
      ;;
    compare) options='--max-pixels --no-sandbox --help' ;;
    *) options='--help' ;;
  esac
  case $word in
    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;
  esac
}
complete -o default -o bashdefault -F _mirnet mirnet
