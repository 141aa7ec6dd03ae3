// A packed model in Rust, with wasmi: host MODULE.wasm INPUT OUTPUT
use std::{env, fs, time::Instant};
use wasmi::{Engine, Linker, Module, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().collect();
    let engine = Engine::default();
    let module = Module::new(&engine, &fs::read(&args[1])?)?;
    let mut store = Store::new(&engine, ());
    let model = <Linker<()>>::new(&engine).instantiate_and_start(&mut store, &module)?;
    let memory = model.get_memory(&store, "memory").ok_or("no memory")?;
    let invoke = model.get_typed_func::<(), i32>(&store, "thimble_invoke")?;
    let mut tensor = |name: &str, store: &mut Store<()>| -> Result<usize, Box<dyn std::error::Error>> {
        Ok(model.get_typed_func::<i32, i32>(&*store, name)?.call(store, 0)? as usize)
    };

    let input = fs::read(&args[2])?;
    if input.len() != tensor("thimble_input_bytes", &mut store)? {
        return Err("the input has another size than the model's".into());
    }
    let at = tensor("thimble_input_ptr", &mut store)?;
    let (out, bytes) = (tensor("thimble_output_ptr", &mut store)?, tensor("thimble_output_bytes", &mut store)?);
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        // Inputs share memory with what comes after them: written before every run.
        memory.write(&mut store, at, &input)?;
        let start = Instant::now();
        let status = invoke.call(&mut store, ())?;
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
        if status != 0 {
            return Err(format!("thimble_invoke returned {status}").into());
        }
    }
    fs::write(&args[3], &memory.data(&store)[out..out + bytes])?;
    println!("{best:.2} ms, {} bytes", memory.data(&store).len());
    Ok(())
}
