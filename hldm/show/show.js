(root) => {
  // Small speakers: one switch for all players of a page, remembered for the next one.
  const page = document.documentElement;
  const key = "hldm-small-speakers";
  const small = () => page.dataset.smallSpeakers === "on";
  const remember = (value) => {
    try {
      if (value) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null; // a frame may not be allowed to remember
    }
  };
  page.dataset.smallSpeakers ??= remember() ?? "off";

  // The version that is wanted, at the moment where the other one was.
  const choose = (audio) => {
    audio.dataset.full ??= audio.getAttribute("src");
    const wanted = (small() && audio.dataset.small) || audio.dataset.full;
    if (audio.getAttribute("src") === wanted) return;
    const { currentTime, paused } = audio;
    audio.src = wanted;
    audio.currentTime = currentTime;
    if (!paused) audio.play().catch(() => {});
  };
  const sounds = () => [...document.querySelectorAll(".hldm-player audio")];

  const addSwitch = () => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", className: "hldm-switch", textContent: "Small speakers" });
    button.title = "Play all sounds two octaves higher and louder, for speakers that reproduce no bass";
    button.setAttribute("role", "switch");
    const state = () => button.setAttribute("aria-checked", String(small()));
    const set = (value) => {
      page.dataset.smallSpeakers = value;
      state();
      sounds().forEach(choose);
    };
    state();
    button.addEventListener("click", () => {
      const value = small() ? "off" : "on";
      remember(value);
      set(value);
    });
    addEventListener("storage", (event) => event.key === key && set(event.newValue ?? "off")); // another tab or frame
    // On a page of the site it stays in sight; elsewhere it stands above the first player.
    const header = document.querySelector(".bd-header-article .article-header-buttons");
    if (header) header.prepend(button);
    else root.querySelector(".hldm-player").before(button);
  };
  if (root.querySelector("audio[data-small]") && !document.querySelector(".hldm-switch")) addSwitch();

  // Sounds that are alternatives to each other: one goes on where the other was.
  const together = (audio) => audio.closest(".hldm-choices") ?? audio.closest(".hldm-both");
  const audible = (box) => [...box.querySelectorAll("audio")].filter((audio) => audio.offsetParent);

  for (const figure of root.querySelectorAll(".hldm-player")) {
    const audio = figure.querySelector("audio");
    const image = figure.querySelector(".hldm-image");
    const cursor = image.querySelector("i");
    const seconds = () => audio.duration || Number(audio.dataset.seconds);
    choose(audio);
    const move = () => {
      cursor.style.left = `${(100 * audio.currentTime) / seconds()}%`;
      if (!audio.paused) requestAnimationFrame(move);
    };
    for (const event of ["play", "seeked", "ended"]) audio.addEventListener(event, move);
    image.addEventListener("click", (event) => {
      const box = image.getBoundingClientRect();
      audio.currentTime = ((event.clientX - box.left) / box.width) * seconds();
      cursor.style.left = `${(100 * audio.currentTime) / seconds()}%`;
    });
    // One sound at a time; its alternatives are fetched, so that they begin at once.
    audio.addEventListener("play", () => {
      const box = together(audio);
      for (const other of sounds()) {
        if (other === audio || other.paused) continue;
        if (box && together(other) === box) {
          if (other.currentTime < seconds()) audio.currentTime = other.currentTime;
          audio.addEventListener("playing", () => other.pause(), { once: true });
        } else other.pause();
      }
      if (box) for (const other of audible(box)) other.preload = "auto";
    });
  }
  for (const button of root.querySelectorAll(".hldm-ab"))
    button.addEventListener("click", () => {
      const audios = audible(button.closest(".hldm-both, .hldm-choices"));
      const playing = audios.findIndex((audio) => !audio.paused);
      audios[(playing + 1) % audios.length].play().catch(() => {});
    });

  // Choose, and see and hear what was computed for that choice.
  for (const chooser of root.querySelectorAll(".hldm-choices")) {
    const controls = [...chooser.querySelectorAll(".hldm-controls :is(select, input[type='range'])")];
    const panels = [...chooser.querySelectorAll(".hldm-panel")];
    const update = () => {
      const wanted = JSON.stringify(controls.map((control) => control.value));
      const playing = panels.flatMap((panel) => [...panel.querySelectorAll("audio")]).find((audio) => !audio.paused);
      for (const panel of panels) panel.hidden = panel.dataset.key !== wanted;
      const next = panels.filter((panel) => !panel.hidden).map((panel) => panel.querySelector("audio")).find(Boolean);
      if (playing && next) next.play().catch(() => {}); // whoever moves on before it has begun interrupts it
      else playing?.pause();
      for (const slider of controls.filter((control) => control.type === "range")) {
        const name = JSON.parse(slider.dataset.names)[slider.value];
        slider.setAttribute("aria-valuetext", name);
        chooser.querySelector("output").textContent = name;
      }
    };
    for (const control of controls) control.addEventListener(control.type === "range" ? "input" : "change", update);
    update();
  }
}
